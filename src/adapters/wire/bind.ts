import type { DescService } from '@bufbuild/protobuf';
import type { Role } from '../../model/network.ts';
import type { Service } from '../../ports/wire.ts';

/**
 * Who may call. `local` services are for a Unix socket, where the file's mode is the authentication; every other
 * service names its roles and is served over mutual TLS alone.
 */
export type Access<S extends DescService> = {
  roles: readonly Role[] | 'local';
  methods?: { [K in keyof S['method']]?: MethodAccess };
};

/**
 * `deadlineMs` bounds how long the server works on one call; `open` is for streams that are meant to stay. `formerKeys`
 * lets in whoever shows the TLS key that its present one replaced.
 */
export type MethodAccess = {
  roles?: readonly Role[];
  deadlineMs?: number | 'open';
  formerKeys?: boolean;
};

/** One service with its implementation, its types erased after they were checked. */
export type Bound = {
  readonly service: DescService;
  readonly implementation: Readonly<Record<string, unknown>>;
  readonly access: {
    roles: readonly Role[] | 'local';
    methods?: Readonly<Record<string, MethodAccess | undefined>>;
  };
};

export function bind<S extends DescService>(
  service: S,
  implementation: Service<S>,
  access: Access<S>,
): Bound {
  return {
    service,
    implementation: implementation as Bound['implementation'],
    access: access as Bound['access'],
  };
}
