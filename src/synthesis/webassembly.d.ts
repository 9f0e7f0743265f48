/** The part of the WebAssembly interface that the embedded voice uses; Node has it, its type package does not declare it. */
declare namespace WebAssembly {
  class Module {
    private readonly brand: never
  }
  class Memory {
    readonly buffer: ArrayBuffer
    private constructor()
  }
  type Imports = Record<string, Record<string, unknown>>
  class Instance {
    constructor(module: Module, imports: Imports)
    readonly exports: Readonly<Record<string, unknown>>
  }
  function compile(bytes: Uint8Array): Promise<Module>
}
