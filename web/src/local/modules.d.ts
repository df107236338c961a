/** See web/opencv.ts. */
declare module "opencv" {
  const factory: (options: { wasmBinary: Uint8Array; onRuntimeInitialized: () => void }) => Record<string, unknown>;
  export default factory;
}
