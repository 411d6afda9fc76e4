// Builds the page into `static`, as files without a hash in their names, so that a test can compare them.

import { readFileSync } from "node:fs";

import { defineConfig } from "vite";

const END = /var \w+=new \w+;function \w+\(\w+,\w+\)\{return \w+\.parse\([\s\S]*?(\w+) as Lexer[\s\S]*$/;

/** The rules of Markdown as it was before its standard, which `pedantic` asks for; nothing here does. */
const PEDANTIC = [
  [/(,nt=)\{\.\.\.fe,html:[\s\S]*?\}(,rt=)/, "$1fe$2"],
  [/,dt=[\s\S]*?(,ze=)/, "$1"],
  [/,mt=[\s\S]*?(,bt=)/, "$1"],
  [/,Rt=[\s\S]*?(,Ot=)/, "$1"],
  [/(,Dt=)\{\.\.\.me,emStrongLDelim:[\s\S]*?\}(,pe=)/, "$1me$2"],
  [/this\.options\.pedantic/g, "false"],
];

/** Of marked only its lexer is used: without the instance that refers to the parser, that part is left out. */
const lexerOnly = {
  name: "lexer-only",
  transform(code, id) {
    if (!id.endsWith("marked.esm.js")) return null;
    if (!END.test(code)) throw new Error("marked does not end as it did: change END in vite.config.js");
    let left = code.replace(END, "export const lexer = $1.lex;");
    for (const [part, rest] of PEDANTIC) {
      const cut = left.replace(part, rest);
      if (cut === left) throw new Error(`marked has no ${part}: change PEDANTIC in vite.config.js`);
      left = cut;
    }
    return { code: left, map: null };
  },
};

/** The page itself, and with `--mode story` the one script and style sheet that a story brings along. */
const builds = {
  page: {
    outDir: process.env.PAGE_OUT || "../static",
    rollupOptions: {
      output: { entryFileNames: "app.js", assetFileNames: "app[extname]", chunkFileNames: "[name].js" },
    },
  },
  story: {
    outDir: process.env.STORY_OUT || "../../../render/static",
    cssCodeSplit: false,
    rollupOptions: {
      input: "src/story.tsx",
      output: {
        format: "iife",
        entryFileNames: "story.js",
        assetFileNames: "story[extname]",
        postBanner: `/*!\n${readFileSync("public/LICENSES.txt", "utf8")}*/`, // each file that is sent has them
      },
    },
  },
};

export default defineConfig(({ mode }) => ({
  base: "/static/",
  publicDir: mode === "story" ? false : "public",
  plugins: [lexerOnly],
  build: {
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    target: ["chrome125", "firefox126", "safari17.5"],
    ...(builds[mode] || builds.page),
  },
}));
