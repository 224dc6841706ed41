// hpack.js brings no types: the part that the tests use.
declare module 'hpack.js' {
  interface Field {
    name: string;
    value: string;
    incremental?: boolean;
    neverIndex?: boolean;
  }
  interface Compressor {
    write(fields: readonly Field[]): void;
    read(): Buffer;
  }
  interface Decompressor {
    write(block: Buffer): void;
    execute(): void;
    read(): Field | null;
  }
  const hpack: {
    compressor: { create(options: { table: { size: number } }): Compressor };
    decompressor: { create(options: { table: { size: number } }): Decompressor };
  };
  // biome-ignore lint/style/noDefaultExport: the package's own
  export default hpack;
}
