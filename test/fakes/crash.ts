/** What a process that was killed leaves behind: nothing after one point, and no chance to tidy up. */
export class Crash extends Error {
  constructor() {
    super('the process was killed here');
    this.name = 'Crash';
  }
}

/** The call to die at, counted from 1, and on which side of its effect. */
export type CrashPlan = { at: number; when: 'before' | 'after' };

export type Fragile = {
  /** The port, until the crash; from then on every call throws. */
  wrap<T extends object>(port: T): T;
  /** The same for one function. */
  call<A extends unknown[], R>(work: (...parameters: A) => R): (...parameters: A) => R;
  /** Calls so far. */
  calls(): number;
  isDead(): boolean;
};

export function createFragile(plan: CrashPlan | null): Fragile {
  let calls = 0;
  let dead = false;

  const die = (): never => {
    dead = true;
    throw new Crash();
  };
  const alive = (): void => {
    if (dead) throw new Crash();
  };

  const called = (call: () => unknown): unknown => {
    alive();
    const mine = ++calls;
    if (plan?.at === mine && plan.when === 'before') die();
    const answer = call();
    const after = (value: unknown): unknown => {
      if (plan?.at === mine && plan.when === 'after') die();
      // The process may have died elsewhere while this call was under way.
      alive();
      return value;
    };
    return answer instanceof Promise ? answer.then(after) : after(answer);
  };

  return {
    wrap: <T extends object>(port: T): T =>
      new Proxy(port, {
        get: (target, name) => {
          const member: unknown = Reflect.get(target, name);
          if (typeof member !== 'function') return member;
          return (...parameters: unknown[]) => called(() => Reflect.apply(member, target, parameters));
        },
      }),
    call:
      (work) =>
      (...parameters) =>
        called(() => work(...parameters)) as ReturnType<typeof work>,
    calls: () => calls,
    isDead: () => dead,
  };
}
