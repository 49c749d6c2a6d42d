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
  instantiate(module: WebAssembly.Module, imports: object): Promise<WebAssembly.Instance>;
}

let zstdModule: Promise<WebAssembly.Module> | undefined;

/** A libzstd of its own: what it needs of memory goes with it. */
export async function instantiateZstd(): Promise<ZstdModule> {
  zstdModule ??= compileZstd();
  const imports = { env: { emscripten_notify_memory_growth: () => undefined } };
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };
  const { exports } = await WebAssembly.instantiate(await zstdModule, imports);
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
  _moduleInstance: { readonly exports: XzModule } | undefined;
}

let lastXz: Promise<unknown> = Promise.resolve();

/** An XZ Embedded of its own: what it needs of memory goes with it. */
export function instantiateXz(): Promise<XzModule> {
  // One after the other: each leaves its instance in the same place.
  const instance = lastXz.then(newXz);
  lastXz = instance.catch(() => undefined);
  return instance;
}

async function newXz(): Promise<XzModule> {
  const loaded = (await import('xz-decompress')) as unknown as XzPackage;
  const owner = loaded.XzReadableStream ?? loaded.default?.XzReadableStream;
  if (owner === undefined) throw new Error('xz-decompress has no XzReadableStream');
  await owner._getModuleInstance();
  const instance = owner._moduleInstance;
  if (instance === undefined) throw new Error('xz-decompress does not show its module');
  owner._moduleInstance = undefined;
  return instance.exports;
}

/** A CommonJS package: Node and the bundlers put its exports in different places. */
interface XzPackage {
  readonly XzReadableStream?: XzClass;
  readonly default?: { readonly XzReadableStream?: XzClass };
}
