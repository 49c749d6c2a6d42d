// What the declarations of zstddec refer to, and the types of Node 20 do not have.
declare namespace WebAssembly {
  interface Module {
    readonly kind?: 'a compiled module, which only the engine can look into';
  }
  interface Instance {
    readonly exports: Record<string, unknown>;
  }
  interface WebAssemblyInstantiatedSource {
    instance: Instance;
    module: Module;
  }
}
