// A copy of compiled modules that counts which of their blocks run, in globalThis.__blocks. For fuzzing: the binary of
// Jazzer.js wants a newer glibc (2.38) than stable Linux distributions have, and ends with its process at a hang.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const { factory: f } = ts;

/**
 * @param {string} from a folder of ES modules
 * @param {string} to is replaced
 * @param {readonly string[]} rooms folders in it whose modules count
 * @param {number} [first] number of the first block
 * @returns {number} of the first block after the last
 */
export function instrument(from, to, rooms, first = 0) {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
  let block = first;
  for (const room of rooms)
    for (const name of readdirSync(join(to, room), { recursive: true, encoding: 'utf8' })) {
      if (!/\.m?js$/.test(name)) continue;
      const path = join(to, room, name);
      const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2023, true);
      const { transformed } = ts.transform(source, [(context) => (file) => visitAll(file, context)]);
      const code = ts.createPrinter().printFile(/** @type {ts.SourceFile} */ (transformed[0]));
      writeFileSync(path, `const __b = globalThis.__blocks ?? new Uint32Array(65536);\n${code}`);
    }
  return block;

  /** @type {<T extends ts.Node>(root: T, context: ts.TransformationContext) => T} */
  function visitAll(root, context) {
    /** @type {(node: ts.Node) => ts.Node} */
    const visit = (node) => {
      const inner = ts.visitEachChild(node, visit, context);
      if (ts.isBlock(inner)) return f.updateBlock(inner, [statement(), ...inner.statements]);
      if (ts.isCaseClause(inner))
        return f.updateCaseClause(inner, inner.expression, [statement(), ...inner.statements]);
      if (ts.isDefaultClause(inner)) return f.updateDefaultClause(inner, [statement(), ...inner.statements]);
      if (ts.isIfStatement(inner))
        return f.updateIfStatement(
          inner,
          inner.expression,
          braced(inner.thenStatement),
          inner.elseStatement ? braced(inner.elseStatement) : f.createBlock([statement()]),
        );
      if (ts.isForStatement(inner))
        return f.updateForStatement(
          inner,
          inner.initializer,
          inner.condition,
          inner.incrementor,
          braced(inner.statement),
        );
      if (ts.isForOfStatement(inner))
        return f.updateForOfStatement(
          inner,
          inner.awaitModifier,
          inner.initializer,
          inner.expression,
          braced(inner.statement),
        );
      if (ts.isWhileStatement(inner))
        return f.updateWhileStatement(inner, inner.expression, braced(inner.statement));
      if (ts.isArrowFunction(inner) && !ts.isBlock(inner.body))
        return f.updateArrowFunction(
          inner,
          inner.modifiers,
          inner.typeParameters,
          inner.parameters,
          inner.type,
          inner.equalsGreaterThanToken,
          counted(inner.body),
        );
      if (ts.isConditionalExpression(inner))
        return f.updateConditionalExpression(
          inner,
          inner.condition,
          inner.questionToken,
          counted(inner.whenTrue),
          inner.colonToken,
          counted(inner.whenFalse),
        );
      if (
        ts.isBinaryExpression(inner) &&
        ['&&', '||', '??'].includes(ts.tokenToString(inner.operatorToken.kind) ?? '')
      )
        return f.updateBinaryExpression(inner, inner.left, inner.operatorToken, counted(inner.right));
      return inner;
    };
    return /** @type {any} */ (ts.visitNode(root, visit));
  }

  function increment() {
    return f.createPostfixIncrement(f.createElementAccessExpression(f.createIdentifier('__b'), block++));
  }

  function statement() {
    return f.createExpressionStatement(increment());
  }

  /** @param {ts.Statement} body */
  function braced(body) {
    return ts.isBlock(body) ? body : f.createBlock([statement(), body]);
  }

  /** @param {ts.Expression | ts.ConciseBody} value */
  function counted(value) {
    return f.createParenthesizedExpression(
      f.createComma(increment(), f.createParenthesizedExpression(/** @type {ts.Expression} */ (value))),
    );
  }
}
