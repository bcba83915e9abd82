import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { CONTROL_TYPES, ROOT_SECRET } from '../../src/wire/control-types.ts';
import type { XdsUpdate } from '../../src/wire/xds-client-session.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import {
  compileSidecarPolicies,
  isSameScope,
  policiesToCompile,
  rememberChange,
  type PolicyBase,
  type SidecarPolicyScope,
} from './compile-sidecar-policies.ts';
import {
  createConfig,
  policyBaseOf,
  policyScopeOf,
  trustDomainsOf,
  type ConfigParts,
  type MadeConfig,
  type MeshNames,
} from './create-config.ts';
import type { HeldAddresses } from './held-addresses.ts';
import {
  readAuthorizationPolicy,
  readMesh,
  readKeySet,
  readPeerAuthentication,
  readRequestAuthentication,
  readSidecar,
  readTrustBundle,
} from './read-resource.ts';
import type { SidecarConfig, SidecarConfigSource } from './sidecar-config.ts';

export interface PushedStateOptions {
  /** The name of the own workload on the control stream. */
  readonly uid: string;
  readonly names: MeshNames;
  readonly held: HeldAddresses;
  /** Told of names about which something is now known. */
  readonly onAddresses: (names: ReadonlySet<string>) => void;
  /** Told of the roots whenever they change. */
  readonly onRoots: (pem: string) => void;
  /** Told of everything that was taken in, in the same turn. */
  readonly onTaken: (typeUrl: string, update: XdsUpdate) => void;
  readonly logger: Logger;
}

/**
 * What the control stream pushed and was taken in. A push is taken in as a whole, or not at all and with the reason:
 * everything is read, and a configuration made of it, before anything is changed (invariant 5).
 */
export class PushedState implements SidecarConfigSource {
  readonly #options: PushedStateOptions;
  readonly #listeners = new Set<(config: SidecarConfig) => void>();
  readonly #raw = new Map<string, Map<string, XdsResource>>();
  #parts: Partial<ConfigParts> = {};
  #made: MadeConfig | undefined;
  /** Policies that are being compiled, a slice in each turn of the event loop. */
  #compiling: { readonly slices: Generator<undefined, PolicyBase> } | undefined;
  readonly #awaitingForce: (() => void)[] = [];

  constructor(options: PushedStateOptions) {
    this.#options = options;
  }

  current(): SidecarConfig | undefined {
    return this.#made?.config;
  }

  /** Whether there is a configuration, or one is being compiled that is known to be good. */
  get complete(): boolean {
    return this.#made !== undefined || this.#compiling !== undefined;
  }

  /** Gives up what is being compiled. */
  stop(): void {
    this.#compiling = undefined;
    this.#tellInForce();
  }

  /** Resolves when all that was taken in is in force, which many policies are only once they are compiled. */
  inForce(): Promise<void> {
    if (this.#compiling === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#awaitingForce.push(resolve));
  }

  #tellInForce(): void {
    for (const resolve of this.#awaitingForce.splice(0)) resolve();
  }

  onChange(listener: (config: SidecarConfig) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What is in force of a type, as it came: to be kept for a restart. */
  raw(typeUrl: string): Iterable<XdsResource> {
    return this.#raw.get(typeUrl)?.values() ?? [];
  }

  /** Whether something of a type was taken in, be it that there is none. */
  has(typeUrl: string): boolean {
    return this.#raw.has(typeUrl);
  }

  /** Address resources that nobody wants any more. */
  forget(names: readonly string[]): void {
    this.#options.held.forget(names);
    const raw = this.#raw.get(CONTROL_TYPES.address);
    for (const name of names) raw?.delete(name);
  }

  /** Takes a push in, or answers why not. */
  apply(typeUrl: string, update: XdsUpdate): string | undefined {
    try {
      this.#take(typeUrl, update);
      return undefined;
    } catch (error) {
      const code = error instanceof SealwrightError ? error.code : undefined;
      this.#options.logger.error('a push was refused, and the last good configuration stays', {
        type: typeUrl,
        version: update.systemVersion,
        code,
        reason: reasonOf(error),
      });
      return reasonOf(error);
    }
  }

  #take(typeUrl: string, update: XdsUpdate): void {
    const { parts, commit } = this.#read(typeUrl, update);
    const next = { ...this.#parts, ...parts };
    const { made, later } = this.#make(next);
    commit?.();
    this.#parts = next;
    this.#keepRaw(typeUrl, update);
    if (!later) this.#compiling = undefined;
    this.#switchTo(made);
    if (later) this.#compile();
    else this.#tellInForce();
    this.#options.onTaken(typeUrl, update);
  }

  /** What a push changes, and what is to be done besides once it is known to be good. */
  #read(typeUrl: string, update: XdsUpdate): { parts: Partial<ConfigParts>; commit?: () => void } {
    const parts = this.#parts;
    switch (typeUrl) {
      case CONTROL_TYPES.address:
        return this.#readAddresses(update);
      case CONTROL_TYPES.authorizationPolicy: {
        const before = parts.authorizationPolicies;
        const after = merged(before, update, readAuthorizationPolicy);
        if (before !== undefined && after !== before) {
          rememberChange(before, after, [...update.removed, ...update.changed.map(({ name }) => name)]);
        }
        return { parts: { authorizationPolicies: after } };
      }
      case CONTROL_TYPES.peerAuthentication:
        return { parts: { peerAuthentications: merged(parts.peerAuthentications, update, readPeerAuthentication) } };
      case CONTROL_TYPES.requestAuthentication: {
        const before = parts.requestAuthentications;
        return { parts: { requestAuthentications: merged(before, update, readRequestAuthentication) } };
      }
      case CONTROL_TYPES.keySet: {
        const before = parts.keySets;
        const keySets = merged(before, update, (resource) => readKeySet(resource, before?.get(resource.name)));
        return { parts: { keySets } };
      }
      case CONTROL_TYPES.sidecar:
        return { parts: { sidecars: single(merged(parts.sidecars, update, readSidecar), 'Sidecar') } };
      case CONTROL_TYPES.configMap:
        return { parts: { meshes: single(merged(parts.meshes, update, readMesh), 'ConfigMap') } };
      case CONTROL_TYPES.secret:
        return this.#readRoots(update);
      default:
        throw new SealwrightError('sidecar_config_unusable', { reason: `a type that was not asked for: ${typeUrl}` });
    }
  }

  #readAddresses({ changed, removed }: XdsUpdate): { parts: Partial<ConfigParts>; commit: () => void } {
    const { uid, held, onAddresses } = this.#options;
    // Whoever removes the workload under a running sidecar has made a mistake, or will end it: it goes on as it is.
    if (removed.includes(uid)) {
      const reason =
        this.#parts.workload === undefined
          ? 'the CA knows no workload of this name: its clusterId may be another than here'
          : 'the own workload is gone';
      throw new SealwrightError('sidecar_config_unusable', { resource: uid, reason });
    }
    const change = held.read(changed, removed);
    const own = change.held.get(uid)?.addressed;
    if (own?.kind === 'service') {
      throw new SealwrightError('sidecar_config_unusable', { resource: uid, reason: 'the own workload is a service' });
    }
    return {
      parts: own === undefined ? {} : { workload: own.workload },
      commit: () => onAddresses(held.take(change)),
    };
  }

  #readRoots({ changed, removed }: XdsUpdate): { parts: Partial<ConfigParts>; commit?: () => void } {
    const resource = changed.find(({ name }) => name === ROOT_SECRET);
    if (removed.includes(ROOT_SECRET)) {
      throw new SealwrightError('sidecar_config_unusable', {
        resource: ROOT_SECRET,
        reason: 'there is no trust bundle',
      });
    }
    if (resource === undefined) return { parts: {} };
    const rootsPem = readTrustBundle(resource);
    if (rootsPem === this.#parts.rootsPem) return { parts: {} };
    return { parts: { rootsPem }, commit: () => this.#options.onRoots(rootsPem) };
  }

  /**
   * A configuration, once every part is known; the same where nothing of it changed. `later` where so many policies
   * have to be compiled that others are to have turns meanwhile: the last policies are in force until then, and beside
   * them everything else as it is now, since a mode or a lost root must not wait for them (invariant 4).
   *
   * @throws SealwrightError `sidecar_config_unusable`
   */
  #make(parts: Partial<ConfigParts>): { readonly made: MadeConfig | undefined; readonly later: boolean } {
    if (!isComplete(parts)) return { made: undefined, later: false };
    const before = this.#made;
    const { names } = this.#options;
    const base = policyBaseOf(before);
    const scope = this.#scopeOf(parts);
    if (policiesToCompile(scope, parts, base) <= MOST_AT_ONCE) return { made: this.#with(parts), later: false };
    // Everything but policies, which have been read, is tried now: what is refused is refused at once.
    if (base !== undefined && isSameScope(scope, base)) {
      return { made: this.#with({ ...parts, authorizationPolicies: base.of }), later: true };
    }
    createConfig({ ...parts, authorizationPolicies: new Map() }, names, { before });
    return { made: before, later: true };
  }

  #with(parts: ConfigParts, compiled?: PolicyBase): MadeConfig {
    const before = this.#made;
    if (before !== undefined && FIELDS.every((field) => before.parts[field] === parts[field])) return before;
    return { parts, config: createConfig(parts, this.#options.names, { before, compiled }) };
  }

  /** Compiles the policies of the parts as they are now, a few slices in each turn of the event loop. */
  #compile(base = policyBaseOf(this.#made)): void {
    const parts = this.#parts;
    // What has changed meanwhile is seen to at the end.
    if (this.#compiling !== undefined || !isComplete(parts)) return;
    const job = { slices: compileSidecarPolicies(this.#scopeOf(parts), parts, base) };
    this.#compiling = job;
    const turn = (): void => {
      // Another push made it needless, or nobody wants it any more.
      if (this.#compiling !== job) return;
      try {
        for (let slice = 0; slice < SLICES_OF_TURN; slice += 1) {
          const { done, value } = job.slices.next();
          if (done === true) {
            this.#compiled(value);
            return;
          }
        }
        setImmediate(turn);
      } catch (error) {
        this.#compiling = undefined;
        this.#tellInForce();
        this.#options.logger.error('policies could not be compiled, and the last good configuration stays', {
          reason: reasonOf(error),
        });
      }
    };
    setImmediate(turn);
  }

  /**
   * Takes what was compiled into force, with what else is known by now. Where many policies have changed meanwhile, those
   * of that push alone, and goes on with the next: else pushes that keep coming would leave old policies in force for ever.
   */
  #compiled(compiled: PolicyBase): void {
    this.#compiling = undefined;
    const parts = this.#parts;
    if (!isComplete(parts)) return;
    const scope = this.#scopeOf(parts);
    const more = policiesToCompile(scope, parts, compiled) > MOST_AT_ONCE;
    if (!more) this.#switchTo(this.#with(parts, compiled));
    else if (isSameScope(scope, compiled)) {
      this.#switchTo(this.#with({ ...parts, authorizationPolicies: compiled.of }, compiled));
    }
    if (more) this.#compile(compiled);
    else this.#tellInForce();
  }

  #scopeOf(parts: ConfigParts): SidecarPolicyScope {
    const { names } = this.#options;
    return policyScopeOf(parts, names, trustDomainsOf(parts, names, this.#made));
  }

  #switchTo(made: MadeConfig | undefined): void {
    if (made === this.#made) return;
    this.#made = made;
    if (made !== undefined) this.#tell(made.config);
  }

  #keepRaw(typeUrl: string, { changed, removed }: XdsUpdate): void {
    let raw = this.#raw.get(typeUrl);
    if (raw === undefined) this.#raw.set(typeUrl, (raw = new Map()));
    for (const name of removed) raw.delete(name);
    for (const resource of changed) {
      // The bytes are a window into the whole push, which would be kept with them.
      const body = { typeUrl: resource.body.typeUrl, value: Uint8Array.from(resource.body.value) };
      raw.set(resource.name, { ...resource, body });
    }
  }

  #tell(config: SidecarConfig): void {
    for (const listener of this.#listeners) {
      try {
        listener(config);
      } catch (error) {
        this.#options.logger.error('a listener to the configuration failed', { reason: reasonOf(error) });
      }
    }
  }
}

/** So many policies take less than a turn of the event loop may; a change is mostly one. */
const MOST_AT_ONCE = 128;
/** A slice is a hundred rules or so, well below a millisecond. */
const SLICES_OF_TURN = 4;

const FIELDS = [
  'workload',
  'authorizationPolicies',
  'peerAuthentications',
  'requestAuthentications',
  'keySets',
  'sidecars',
  'meshes',
  'rootsPem',
] as const satisfies readonly (keyof ConfigParts)[];

function isComplete(parts: Partial<ConfigParts>): parts is ConfigParts {
  return FIELDS.every((field) => parts[field] !== undefined);
}

/** Another map where something changed, else the same; an empty one the first time, since then it is known to be empty. */
function merged<T>(
  before: ReadonlyMap<string, T> | undefined,
  { changed, removed }: XdsUpdate,
  read: (resource: XdsResource) => T,
): ReadonlyMap<string, T> {
  const concerned = changed.length > 0 || removed.some((name) => before?.has(name) === true);
  if (before !== undefined && !concerned) return before;
  const after = new Map(before);
  for (const name of removed) after.delete(name);
  for (const resource of changed) after.set(resource.name, read(resource));
  return after;
}

function single<T>(map: ReadonlyMap<string, T>, kind: string): ReadonlyMap<string, T> {
  if (map.size <= 1) return map;
  const names = [...map.keys()].join(', ').slice(0, 500);
  throw new SealwrightError('sidecar_config_unusable', { reason: `more than one ${kind} for one workload: ${names}` });
}
