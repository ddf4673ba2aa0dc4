// A call of an operator: its inputs and attributes, checked as they are asked for, since a file says them.
import { tf } from '../../engine/index.js';
import { type Integers, isIntegers, type Value } from './values.js';

export interface Call {
  inputs: readonly (Value | undefined)[];
  attributes: Readonly<Record<string, number | string | readonly number[]>>;
  /** Results that are asked for. */
  count: number;
}
export type Operator = (call: Call) => readonly Value[];

export const refuse = (why: string): never => {
  throw new Error(why);
};
export const required = (value: Value | undefined): Value => value ?? refuse('an input is missing');
export const tensor = (value: Value | undefined): tf.Tensor => {
  const given = required(value);
  return isIntegers(given) ? tf.tensor([...given.integers], [...given.shape]) : given;
};
export const integers = (value: Value | undefined): readonly number[] | undefined => {
  if (value === undefined) return undefined;
  return isIntegers(value) ? value.integers : refuse('a shape or axis depends on values');
};
export const listed = (values: readonly number[]): Integers => ({ shape: [values.length], integers: values });

export function attribute(call: Call, name: string, or: string): string;
export function attribute(call: Call, name: string, or: number): number;
export function attribute(
  call: Call,
  name: string,
  or: number | string,
): number | string | readonly number[] {
  const found = call.attributes[name] ?? or;
  return typeof found === typeof or ? found : refuse(`attribute ${name} is of another type`);
}
export const list = (call: Call, name: string): readonly number[] | undefined => {
  const found = call.attributes[name];
  return found === undefined || Array.isArray(found) ? found : refuse(`attribute ${name} is no list`);
};
/** Axes or lengths: an attribute before some opset, an input since. */
export const listOf = (call: Call, name: string, input: number) =>
  list(call, name) ?? integers(call.inputs[input]);
export const axisOf = (axis: number, rank: number): number => {
  const positive = axis < 0 ? axis + rank : axis;
  return Number.isInteger(positive) && positive >= 0 && positive < rank
    ? positive
    : refuse(`axis ${axis} of ${rank}`);
};
