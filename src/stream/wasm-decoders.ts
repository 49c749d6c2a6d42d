// The decoders of two packages, without what those build upon them: zstddec ignores errors in the middle of a stream and
// may leave the last output behind, xz-decompress lets one stream at a time run in a process. Kept apart from everything
// else so that the command loads them, and their embedded programs, only when there is something to decompress.

/** Linear memory of a module; its buffer is another one whenever it has grown. */
interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** The streaming functions of libzstd: pointers and sizes are numbers of 32 bits. */
export interface ZstdModule {
  readonly memory: WasmMemory;
  /** Takes memory; 0 if there is none. */
  malloc(byteLength: number): number;
  /** Makes a context; 0 if there is no memory. */
  ZSTD_createDCtx(): number;
  /** Decodes what the input buffer has into the output buffer: 0 at the end of a frame, negative on an error. */
  ZSTD_decompressStream(context: number, output: number, input: number): number;
}

/** The functions around XZ Embedded: a context holds both buffers, see `XzContext`. */
export interface XzModule {
  readonly memory: WasmMemory;
  /** Makes a context, which begins with its buffers' descriptions. */
  create_context(): number;
  /** Says how many bytes were put into the input buffer; 0 is the end. */
  supply_input(context: number, byteLength: number): void;
  /** Decodes; returns a code of XZ Embedded. */
  get_next_output(context: number): number;
}

/** The part of WebAssembly that is used here; the types of Node have none of it. */
interface WebAssemblyGlobal {
  compile(bytes: ArrayBuffer): Promise<WebAssembly.Module>;
  instantiate: (module: WebAssembly.Module | ArrayBuffer, imports: object) => Promise<WebAssembly.Instance>;
}

function webAssembly(): WebAssemblyGlobal {
  return (globalThis as unknown as { WebAssembly: WebAssemblyGlobal }).WebAssembly;
}

let zstdModule: Promise<WebAssembly.Module> | undefined;

/** A libzstd of its own: what it needs of memory goes with it. */
export async function instantiateZstd(): Promise<ZstdModule> {
  zstdModule ??= compileZstd().catch((error: unknown) => {
    zstdModule = undefined;
    throw error;
  });
  const imports = { env: { emscripten_notify_memory_growth: () => undefined } };
  const { exports } = await webAssembly().instantiate(await zstdModule, imports);
  return exports as unknown as ZstdModule;
}

async function compileZstd(): Promise<WebAssembly.Module> {
  const { ZSTDDecoder } = await import('zstddec/stream');
  return new Promise((resolve, reject) => {
    class Capturing extends ZSTDDecoder {
      override _init(result: WebAssembly.WebAssemblyInstantiatedSource): void {
        super._init(result);
        resolve(result.module);
      }
    }
    const initialised = new Capturing().init();
    initialised.then(() => reject(new Error('zstddec was in use before, and does not show its module')), reject);
  });
}

interface XzClass {
  _getModuleInstance(): Promise<void>;
}

let xzModule: Promise<WebAssembly.Module> | undefined;

/** An XZ Embedded of its own: what it needs of memory goes with it. */
export async function instantiateXz(): Promise<XzModule> {
  xzModule ??= compileXz().catch((error: unknown) => {
    xzModule = undefined;
    throw error;
  });
  const { exports } = await webAssembly().instantiate(await xzModule, {});
  return exports as unknown as XzModule;
}

async function compileXz(): Promise<WebAssembly.Module> {
  const loaded = (await import('xz-decompress')) as unknown as XzPackage;
  const owner = loaded.XzReadableStream ?? loaded.default?.XzReadableStream;
  if (owner === undefined) throw new Error('xz-decompress has no XzReadableStream');
  return webAssembly().compile(programOf(owner));
}

/**
 * The program that xz-decompress carries. The package only ever puts an instance where every user of it in the process
 * finds that, so it is let come as far as handing the program over. All of that happens in this call: nobody else sees it.
 */
function programOf(owner: XzClass): ArrayBuffer {
  const engine = webAssembly();
  const { instantiate } = engine;
  let program: ArrayBuffer | undefined;
  engine.instantiate = (bytes) => {
    program = bytes as ArrayBuffer;
    // Never settled: so the package stores nothing.
    return new Promise(() => undefined);
  };
  try {
    void owner._getModuleInstance();
  } finally {
    engine.instantiate = instantiate;
  }
  if (program === undefined) throw new Error('xz-decompress does not show its program');
  return program;
}

/** A CommonJS package: Node and the bundlers put its exports in different places. */
interface XzPackage {
  readonly XzReadableStream?: XzClass;
  readonly default?: { readonly XzReadableStream?: XzClass };
}
