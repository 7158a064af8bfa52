import { defineConfig } from "vitest/config";
import { pretend } from "./dev/pretend";

// Against a real server while developing: HEADWAY_SERVER=http://127.0.0.1:8765 npm run dev. Without: a board made up.
const server = process.env["HEADWAY_SERVER"];

export default defineConfig({
  base: "./",
  plugins: server ? [] : [pretend()],
  build: {
    outDir: "../src/headway/dashboard/static",
    emptyOutDir: true,
    target: ["chrome123", "firefox120", "safari17.5"], // the first with light-dark()
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  server: { ...(server && { proxy: { "/api": { target: server, changeOrigin: true } } }) },
  test: { include: ["test/**/*.test.ts"] },
});
