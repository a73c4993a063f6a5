declare module "ms" {
  function ms(value: number, options?: { long: boolean }): string;
  export = ms;
}
