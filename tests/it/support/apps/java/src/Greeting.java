record Greeting(String name) {
    byte[] bytes() {
        return ("hello from " + name + "\n").getBytes();
    }
}
