/** The object that an Event is about, as `involvedObject` names it. */
export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty for an object of the whole cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string | undefined;
}

/** Something that a person who looks at an object should see. No secret may be in it. */
export interface ClusterEvent {
  readonly about: EventSubject;
  readonly type: 'Normal' | 'Warning';
  /** In CamelCase, one of few: events of one object and reason become one that counts. */
  readonly reason: string;
  readonly message: string;
}

/** Takes what happened; never waits, never throws. */
export type EventSink = (event: ClusterEvent) => void;
