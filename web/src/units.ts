// Amounts as the program itself writes them: decimal units, three significant digits, a no-break space.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const NBSP = "\u00a0";

export function bytes(amount: number): string {
  let unit = 0;
  let value = amount;
  // The unit is chosen after rounding, so that 999,950 B reads 1 MB.
  while (unit < UNITS.length - 1 && Number(value.toPrecision(3)) >= 1000) {
    value /= 1000;
    unit++;
  }
  return (unit === 0 ? String(amount) : digits(value)) + NBSP + UNITS[unit];
}

function digits(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return String(rounded);
}

export function exact(amount: number): string {
  return `${grouped(amount)}${NBSP}B`;
}

export function grouped(amount: number): string {
  return String(amount).replace(/\B(?=(\d{3})+$)/g, ",");
}

export function signed(delta: number, text: (amount: number) => string): string {
  return `${delta > 0 ? "+" : delta < 0 ? "-" : ""}${text(Math.abs(delta))}`;
}

/** `+4.5%`; `12x` for more than tenfold; empty without a base to compare with. */
export function growth(delta: number, base: number): string {
  if (base <= 0) return "";
  const ratio = (base + delta) / base;
  if (ratio >= 10) return `${grouped(Math.round(ratio))}x`;
  const percent = Math.abs((delta / base) * 100);
  return `${delta > 0 ? "+" : delta < 0 ? "-" : ""}${percent.toFixed(percent < 100 ? 1 : 0)}%`;
}

export function share(part: number, whole: number): string {
  if (whole <= 0) return "";
  const percent = (part / whole) * 100;
  return percent > 0 && percent < 0.1 ? "<0.1%" : `${percent.toFixed(percent < 100 ? 1 : 0)}%`;
}

export function count(amount: number, one: string, many: string): string {
  return `${grouped(amount)}${NBSP}${amount === 1 ? one : many}`;
}
