import type { Socket } from 'node:net';

export interface OperatorConnections {
  /** Counts a connection in until it closes. Where there are too many, the oldest goes that is not kept. */
  add(key: string, socket: Socket): void;
  /** Something was allowed on it: the connection is kept as the actor's, as far as there is room for it. */
  allow(key: string, actor: string): void;
  /** Something was refused on it: it is kept no longer. */
  refuse(key: string): void;
  destroyAll(): void;
}

interface Connection {
  readonly socket: Socket;
  /** For whom it is kept. */
  actor: string | undefined;
}

/**
 * The connections of the operator port, of which strangers shall not take an operator's place. To be known is not enough,
 * since any tenant of a cluster can get a token for this port: a connection is kept for who was allowed something on it.
 * Of one actor that is an eighth of all, and half of all altogether, so that neither one viewer nor several can keep
 * everybody else away: whoever comes finds room.
 *
 * @param most connections open at once
 */
export function createOperatorConnections(most: number): OperatorConnections {
  const connections = new Map<string, Connection>();
  const mostOfOne = Math.max(1, Math.floor(most / 8));
  const mostKept = Math.floor(most / 2);

  const hasRoomFor = (actor: string): boolean => {
    let kept = 0;
    let ofActor = 0;
    for (const one of connections.values()) {
      if (one.actor !== undefined) kept += 1;
      if (one.actor === actor) ofActor += 1;
    }
    return kept < mostKept && ofActor < mostOfOne;
  };
  const makeRoom = (): void => {
    if (connections.size < most) return;
    for (const [key, { socket, actor }] of connections) {
      if (actor !== undefined) continue;
      connections.delete(key);
      socket.destroy();
      return;
    }
  };

  return {
    add: (key, socket) => {
      makeRoom();
      const connection: Connection = { socket, actor: undefined };
      connections.set(key, connection);
      socket.once('close', () => {
        if (connections.get(key) === connection) connections.delete(key);
      });
    },
    allow: (key, actor) => {
      const connection = connections.get(key);
      if (connection === undefined || connection.actor === actor) return;
      connection.actor = undefined;
      if (hasRoomFor(actor)) connection.actor = actor;
    },
    refuse: (key) => {
      const connection = connections.get(key);
      if (connection !== undefined) connection.actor = undefined;
    },
    destroyAll: () => {
      for (const { socket } of connections.values()) socket.destroy();
    },
  };
}
