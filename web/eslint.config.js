import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["node_modules", "src/schema.ts"] },
  ...tseslint.configs.recommended,
  ...tseslint.configs.strict,
  {
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off", // noUncheckedIndexedAccess asks for them in loops over pixels
      "@typescript-eslint/explicit-function-return-type": ["error", { allowExpressions: true, allowTypedFunctionExpressions: true }],
      "no-console": "error",
      eqeqeq: "error",
    },
  },
);
