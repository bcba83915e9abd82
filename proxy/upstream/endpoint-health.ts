/** Hears what became of calls to one endpoint, to find out whether it is fit for more. */
export interface EndpointHealth {
  /** A final response has begun. */
  onStatus(status: number): void;
  /** It was reached: TCP and TLS are there. */
  onConnected(): void;
  /** It was not reached. */
  onConnectFailure(): void;
  /** It broke a connection off on which an answer was owed. */
  onReset(): void;
  /** It has not answered in time. */
  onTimeout(): void;
}
