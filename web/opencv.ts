/** OpenCV as a module of the page: the npm package holds its WebAssembly in text, and makes functions out of strings,
 * which the page's security policy forbids. Here the two are parted, and such functions are made as closures. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const SOURCE = join(import.meta.dirname, "node_modules/@techstark/opencv-js/dist/opencv.js");
const BINARY = "data:application/octet-stream;base64,AGFzbQ"; // WebAssembly begins with NUL and "asm"

/** embind's functions that build code from text, and what does the same without. */
const CLOSURES: Record<string, string> = {
  createNamedFunction: `function createNamedFunction(name, body) {
    const named = function () { return body.apply(this, arguments); };
    return Object.defineProperty(named, "name", { value: makeLegalFunctionName(name) });
  }`,
  new_: "",
  makeDynCaller: `function makeDynCaller(dynCall) { return (...given) => dynCall(rawFunction, ...given); }`,
  craftInvokerFunction: `function craftInvokerFunction(humanName, argTypes, classType, cppInvokerFunc, cppTargetFunc) {
    const isMethod = argTypes[1] !== null && classType !== null, returns = argTypes[0].name !== "void", given = argTypes.slice(2);
    const stacked = argTypes.slice(1).some((type) => type !== null && type.destructorFunction === undefined);
    return function (...values) {
      if (values.length !== given.length) {
        throwBindingError("function " + humanName + " called with " + values.length + " arguments, expected " + given.length + " args!");
      }
      const destructors = stacked ? [] : null, wired = [];
      if (isMethod) wired.push(argTypes[1].toWireType(destructors, this));
      given.forEach((type, at) => wired.push(type.toWireType(destructors, values[at])));
      const result = cppInvokerFunc(cppTargetFunc, ...wired);
      if (stacked) runDestructors(destructors);
      else given.forEach((type, at) => { if (type.destructorFunction !== null) type.destructorFunction(wired[at + (isMethod ? 1 : 0)]); });
      return returns ? argTypes[0].fromWireType(result) : undefined;
    };
  }`,
  __emval_get_method_caller: `function __emval_get_method_caller(argCount, argTypes) {
    const [retType, ...types] = __emval_lookupTypes(argCount, argTypes);
    return __emval_addMethodCaller((handle, name, destructors, args) => {
      let at = args;
      const values = types.map((type) => {
        const value = type.readValueFromPointer(at);
        at += type.argPackAdvance;
        return value;
      });
      const result = handle[name](...values);
      types.forEach((type, index) => { if (type.deleteObject) type.deleteObject(values[index]); });
      return retType.isVoid ? undefined : retType.toWireType(destructors, result);
    });
  }`,
};

/** The whole of a function in a program, its braces counted; no text in these has any brace of its own but in pairs. */
function functionIn(code: string, name: string): string {
  const start = code.indexOf(`function ${name}(`);
  if (start < 0) throw new Error(`OpenCV's script has no ${name} any more`);
  let depth = 0;
  for (let at = code.indexOf("{", start); at < code.length; at++) {
    depth += code[at] === "{" ? 1 : code[at] === "}" ? -1 : 0;
    if (!depth) return code.slice(start, at + 1);
  }
  throw new Error(`${name} does not end`);
}

/** OpenCV's script as a module that exports its factory, and its WebAssembly. */
export function readOpenCv(): { script: string; wasm: Buffer } {
  const source = readFileSync(SOURCE, "utf-8"), start = source.indexOf(BINARY), end = source.indexOf('"', start);
  if (start < 0) throw new Error("OpenCV's script holds no WebAssembly any more");
  const text = source.slice(0, start) + source.slice(end);
  let script = text.slice(text.indexOf("var cv = (function()"), text.indexOf("if (typeof exports ==="));
  for (const [name, closure] of Object.entries(CLOSURES)) script = script.replace(functionIn(script, name), () => closure);
  if (/new Function|\beval\(/.test(script)) throw new Error("OpenCV's script still makes functions out of text");
  return { script: `${script}\nexport default cv;\n`, wasm: Buffer.from(source.slice(source.indexOf(",", start) + 1, end), "base64") };
}

/** Serves the script as the module `opencv`. */
export function opencv(): Plugin {
  return {
    name: "opencv",
    resolveId: (id) => id === "opencv" ? "\0opencv" : null,
    load: (id) => id === "\0opencv" ? readOpenCv().script : null,
  };
}
