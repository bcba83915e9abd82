import { isDnsName, isTlsProtocol, isWildcardName, UNIX, type NetworkingFindings } from './networking-value.ts';
import { endpointOf } from './sidecar-endpoint.ts';
import { hostOf } from './sidecar-host.ts';
import type { WrittenSidecar, WrittenSidecarPort, WrittenSidecarTls } from './sidecar-schema.ts';

/** What is wrong with a Sidecar of the right structure. */
export function checkSidecar(written: WrittenSidecar, findings: NetworkingFindings): void {
  const { workloadSelector, ingress = [], egress = [], outboundTrafficPolicy, inboundConnectionPool } = written;
  findings.selector('spec.workloadSelector', workloadSelector);
  if (ingress.length === 0 && egress.length === 0 && !outboundTrafficPolicy && inboundConnectionPool === undefined) {
    findings.error(
      'spec',
      'sidecar_empty',
      'a Sidecar that says nothing',
      'write ingress, egress or outboundTrafficPolicy',
    );
  }
  checkIngress(ingress, findings);
  checkEgress(egress, findings);
  checkOutbound(outboundTrafficPolicy, findings);
  if (inboundConnectionPool !== undefined) unused('spec.inboundConnectionPool', findings);
}

function checkIngress(listeners: NonNullable<WrittenSidecar['ingress']>, findings: NetworkingFindings): void {
  for (const [index, { port, bind = '', defaultEndpoint, tls, connectionPool }] of listeners.entries()) {
    const path = `spec.ingress[${index}]`;
    checkPort(`${path}.port`, port, findings);
    findings.port(`${path}.port.number`, port.number ?? 0);
    if (bind !== '') findings.address(`${path}.bind`, bind);
    if (listeners.slice(0, index).some((other) => other.port.number === port.number)) {
      findings.error(`${path}.port.number`, 'port_duplicate', 'a second listener of this port', 'keep one of them');
    }
    if (defaultEndpoint !== undefined && defaultEndpoint !== '') {
      checkEndpoint(`${path}.defaultEndpoint`, defaultEndpoint, findings);
    }
    if (tls !== undefined) checkTls(`${path}.tls`, tls, port.protocol, findings);
    if (connectionPool !== undefined) unused(`${path}.connectionPool`, findings);
  }
}

function checkTls(
  path: string,
  tls: WrittenSidecarTls,
  protocol: string | undefined,
  findings: NetworkingFindings,
): void {
  if (tls.mode === 'ISTIO_MUTUAL' || tls.mode === 'AUTO_PASSTHROUGH') {
    findings.error(`${path}.mode`, 'tls_mode', `${tls.mode} is for gateways`, 'one of: SIMPLE, MUTUAL, PASSTHROUGH');
  }
  if (!isTlsProtocol(protocol)) {
    findings.error(
      path,
      'tls_protocol',
      'tls on a port that is not HTTPS or TLS',
      'set the protocol of the port to HTTPS',
    );
  }
}

function checkEgress(listeners: NonNullable<WrittenSidecar['egress']>, findings: NetworkingFindings): void {
  const taken = new Set<string | number>();
  for (const [index, { port, bind = '', captureMode = 'DEFAULT', hosts }] of listeners.entries()) {
    const path = `spec.egress[${index}]`;
    if (port === undefined) {
      if (index < listeners.length - 1) {
        const message = 'a listener without a port takes all that the others leave, so it must be the last';
        findings.error(path, 'egress_order', message, 'move it to the end, or give it a port');
      }
    } else {
      checkPort(`${path}.port`, port, findings);
      const place = port.number ?? 0;
      if (place === 0) {
        if (bind.startsWith(UNIX)) findings.unixPath(`${path}.bind`, bind);
        else findings.error(`${path}.bind`, 'bind_invalid', 'port 0 needs a Unix socket', 'write bind: unix:///path');
        if (captureMode === 'IPTABLES') {
          const remedy = 'set captureMode to NONE';
          findings.error(`${path}.captureMode`, 'capture_mode', 'a Unix socket cannot be captured', remedy);
        }
      } else {
        findings.port(`${path}.port.number`, place);
        if (bind !== '') findings.address(`${path}.bind`, bind);
      }
      const key = place === 0 ? bind : place;
      if (taken.has(key)) findings.error(path, 'port_duplicate', 'a second listener of this place', 'keep one of them');
      taken.add(key);
    }
    if (hosts.length === 0) findings.error(`${path}.hosts`, 'hosts_empty', 'no host', 'write at least one: "./*"');
    checkHosts(`${path}.hosts`, hosts, findings);
  }
}

function checkHosts(path: string, hosts: readonly string[], findings: NetworkingFindings): void {
  const seen = new Set<string>();
  for (const [index, written] of hosts.entries()) {
    const place = `${path}[${index}]`;
    const { namespace, host } = hostOf(written);
    const namespaceFine = /^(\*|\.|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$/.test(namespace);
    if (!written.includes('/') || written.startsWith('/') || host === '') {
      findings.error(
        place,
        'host_invalid',
        'not namespace/host',
        'write namespace/host, such as ./* or shop/db.example.com',
      );
    } else if (!namespaceFine) {
      findings.error(place, 'host_invalid', 'not a namespace before the slash', 'write a namespace, or one of . * ~');
    } else if (host !== '*' && (!host.includes('.') || !isWildcardName(host) || /^\*[^.]/.test(host))) {
      const remedy = 'write the whole name, *.domain, or *';
      findings.error(place, 'host_invalid', 'not a whole DNS name behind the slash', remedy);
    } else if (seen.has(written)) findings.warning(place, 'host_duplicate', 'twice the same host', 'keep one of them');
    seen.add(written);
  }
}

function checkOutbound(policy: WrittenSidecar['outboundTrafficPolicy'], findings: NetworkingFindings): void {
  if (policy?.egressProxy === undefined) return;
  const path = 'spec.outboundTrafficPolicy.egressProxy';
  if (policy.mode !== 'ALLOW_ANY') {
    findings.error(path, 'egress_proxy', 'an egress proxy without ALLOW_ANY', 'set mode to ALLOW_ANY, or leave it out');
  } else if (!isDnsName(policy.egressProxy.host)) {
    findings.error(`${path}.host`, 'host_invalid', 'not a DNS name', 'write one such as proxy.example.com');
  } else if (policy.egressProxy.port === undefined) {
    findings.error(`${path}.port`, 'port_invalid', 'no port', 'write port: { number: 8080 }');
  } else {
    findings.port(`${path}.port.number`, policy.egressProxy.port.number ?? 0);
    unused(path, findings);
  }
}

function checkPort(path: string, port: WrittenSidecarPort, findings: NetworkingFindings): void {
  if (port.name !== undefined && port.name !== '') findings.portName(`${path}.name`, port.name);
  findings.protocol(`${path}.protocol`, port.protocol);
  if ((port.targetPort ?? 0) > 0) {
    const remedy = 'leave it out; an ingress listener names the application in defaultEndpoint';
    findings.error(`${path}.targetPort`, 'target_port', 'targetPort means nothing here', remedy);
  }
}

function checkEndpoint(path: string, text: string, findings: NetworkingFindings): void {
  if (text.startsWith(UNIX)) findings.unixPath(path, text);
  else if (endpointOf(text) === undefined) {
    const remedy = 'write 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix:///path';
    findings.error(path, 'endpoint_invalid', 'not an endpoint of this workload', remedy);
  }
}

function unused(path: string, findings: NetworkingFindings): void {
  findings.warning(path, 'field_unused', 'this field has no effect yet', 'leave it out');
}
