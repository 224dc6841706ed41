// Why a configuration cannot be generated for a door: every reason at once, each naming the policy and the way out.

export class GenerateError extends Error {
  override readonly name = 'GenerateError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`${problems.length} problem${problems.length === 1 ? '' : 's'}: ${problems.join('; ')}`);
    this.problems = problems;
  }
}
