/** The mark of packets that TPROXY brings, and of those that the sidecar sends to its application. Istio's, as is the table. */
export const TPROXY_MARK = 1337;
/** The routing table that sends what is marked to lo. */
export const TPROXY_TABLE = 133;
/** Before the main table's rule (32766); ztunnel has its own there too. */
export const TPROXY_PREFERENCE = 32_764;
