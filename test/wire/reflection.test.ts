import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { fromBinary } from '@bufbuild/protobuf';
import { SealwrightError } from '../../src/core/errors.ts';
import type { ServerReflectionRequest } from '../../src/wire/gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection } from '../../src/wire/gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as Alpha } from '../../src/wire/gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { implementService } from '../../src/wire/grpc-service.ts';
import { createHealth } from '../../src/wire/health.ts';
import { createReflection } from '../../src/wire/reflection.ts';
import { bearerToken } from '../../src/wire/server-call.ts';
import { IstioCertificateService } from '../../src/wire/services.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { grpcurl, requireGrpcurl } from '../peers/grpcurl.ts';
import { createTestAuthority } from './certificates.ts';
import type { Harness } from './grpc-harness.ts';
import { startHarness } from './grpc-harness.ts';

type Question = ServerReflectionRequest['messageRequest'];

describe('reflection', () => {
  let harness: Harness;
  before(async () => {
    const health = createHealth(['']);
    health.set('', true);
    const ca = implementService(IstioCertificateService, {
      createCertificate: async ({ csr }, call) => {
        if (bearerToken(call) === undefined && call.peer.chain === undefined)
          throw new SealwrightError('spiffe_id_invalid');
        return { certChain: [`signed ${csr}`, call.peer.chain === undefined ? 'by token' : 'by certificate'] };
      },
    });
    const services = [ca, health.service];
    harness = await startHarness({ services: [...services, ...createReflection(services)] });
  });
  after(() => harness.close());

  const ask = async (...questions: Question[]): Promise<unknown[]> => {
    const stream = harness.channel().stream(ServerReflection.method.serverReflectionInfo);
    for (const messageRequest of questions) stream.send({ host: 'h', messageRequest });
    stream.end();
    const answers: unknown[] = [];
    for await (const { messageResponse, originalRequest, validHost } of stream.responses) {
      assert.equal(validHost, 'h');
      assert.equal(originalRequest?.messageRequest.case, questions[answers.length]?.case);
      if (messageResponse.case === 'fileDescriptorResponse') {
        const files = messageResponse.value.fileDescriptorProto.map((each) =>
          fromBinary(FileDescriptorProtoSchema, each),
        );
        answers.push(files.map((file) => file.name));
      } else if (messageResponse.case === 'errorResponse') answers.push(messageResponse.value.errorCode);
      else if (messageResponse.case === 'listServicesResponse') {
        answers.push(messageResponse.value.service.map((service) => service.name));
      } else answers.push(messageResponse.case);
    }
    return answers;
  };

  it('lists the services and itself', async () => {
    const names = [
      'istio.v1.auth.IstioCertificateService',
      'grpc.health.v1.Health',
      ServerReflection.typeName,
      Alpha.typeName,
    ];
    assert.deepEqual(await ask({ case: 'listServices', value: '' }), [names]);
  });

  it('finds the file of a service, a method, a message and a field, with what it imports', async () => {
    const symbols = [
      'IstioCertificateService',
      'IstioCertificateService.CreateCertificate',
      'IstioCertificateRequest',
      'IstioCertificateRequest.csr',
    ];
    const questions = symbols.map((name): Question => ({
      case: 'fileContainingSymbol',
      value: `istio.v1.auth.${name}`,
    }));
    const file = ['google/protobuf/struct.proto', 'istio/v1/auth/ca.proto'];
    assert.deepEqual(
      await ask(...questions),
      symbols.map(() => file),
    );
    assert.deepEqual(await ask({ case: 'fileByFilename', value: 'istio/v1/auth/ca.proto' }), [file]);
  });

  it('answers what it does not have with an error and goes on', async () => {
    const answers = await ask(
      { case: 'fileContainingSymbol', value: 'istio.v1.auth.Nothing' },
      { case: 'fileContainingSymbol', value: 'istio.v1.auth.IstioCertificateService.Nothing' },
      { case: 'fileContainingSymbol', value: '' },
      // Of this program, but of no service of this server.
      { case: 'fileByFilename', value: 'sealwright/control/v1/control.proto' },
      {
        case: 'fileContainingExtension',
        value: { $typeName: 'grpc.reflection.v1.ExtensionRequest', containingType: 'x', extensionNumber: 1 },
      },
      { case: 'allExtensionNumbersOfType', value: 'x' },
      { case: 'allExtensionNumbersOfType', value: 'istio.v1.auth.IstioCertificateRequest' },
      { case: undefined },
    );
    assert.deepEqual(answers, [5, 5, 5, 5, 5, 5, 'allExtensionNumbersResponse', 3]);
  });

  it('answers clients that know the older version alone', async () => {
    const stream = harness.channel().stream(Alpha.method.serverReflectionInfo);
    stream.send({ messageRequest: { case: 'listServices', value: '' } });
    const first = await stream.responses[Symbol.asyncIterator]().next();
    assert.equal(first.value?.messageResponse.case, 'listServicesResponse');
    stream.cancel();
  });

  describe('as grpcurl sees it', () => {
    let program: string;
    let folder: string;
    before(function () {
      program = requireGrpcurl(this);
    });
    beforeEach(function () {
      folder = temporaryFolder(this);
      writeFileSync(join(folder, 'root.pem'), harness.authority.root);
    });

    const run = (...args: string[]): ReturnType<typeof grpcurl> =>
      grpcurl(program, ['-cacert', join(folder, 'root.pem'), '-max-time', '10', ...args]);
    const identity = async (authority = harness.authority): Promise<string[]> => {
      const { chain, key } = await authority.issue({ uri: 'spiffe://cluster.local/ns/shop/sa/web' });
      writeFileSync(join(folder, 'cert.pem'), chain);
      writeFileSync(join(folder, 'key.pem'), key);
      return ['-cert', join(folder, 'cert.pem'), '-key', join(folder, 'key.pem')];
    };
    const call = (): string[] => [
      '-d',
      '{"csr":"abc"}',
      harness.listener.address,
      'istio.v1.auth.IstioCertificateService/CreateCertificate',
    ];

    it('lists and describes the services without their protos', async () => {
      const list = await run(harness.listener.address, 'list');
      assert.equal(list.code, 0, list.stderr);
      assert.match(list.stdout, /^istio\.v1\.auth\.IstioCertificateService$/m);
      const described = await run(harness.listener.address, 'describe', 'istio.v1.auth.IstioCertificateRequest');
      assert.match(described.stdout, /int64 validity_duration = 3;/);
      assert.match(described.stdout, /\.google\.protobuf\.Struct metadata = 4;/);
    });

    it('calls a method by token and by certificate', async () => {
      const byToken = await run('-H', 'authorization: Bearer a.b.c', ...call());
      assert.deepEqual(JSON.parse(byToken.stdout), { certChain: ['signed abc', 'by token'] }, byToken.stderr);
      const byCertificate = await run(...(await identity()), ...call());
      assert.deepEqual(JSON.parse(byCertificate.stdout), { certChain: ['signed abc', 'by certificate'] });
    });

    it('is told status and reason of a refusal', async () => {
      const refused = await run('-v', ...call());
      assert.equal(refused.code, 64 + 3);
      assert.match(refused.stderr, /Code: InvalidArgument/);
      assert.match(refused.stdout, /sealwright-reason: spiffe_id_invalid/);
    });

    it('is refused with a certificate of a foreign CA (invariant 5)', async () => {
      // Of the same name: a Go client shows no certificate whose issuer the server does not name as acceptable.
      const args = await identity(await createTestAuthority({ name: harness.authority.name }));
      const refused = await run(...args, '-H', 'authorization: Bearer a.b.c', ...call());
      assert.notEqual(refused.code, 0);
      assert.equal(refused.stdout, '');
      assert.ok(harness.refused.includes('certificate_unauthorized'));
    });

    it('sees the health', async () => {
      const health = await run(harness.listener.address, 'grpc.health.v1.Health/Check');
      assert.deepEqual(JSON.parse(health.stdout), { status: 'SERVING' });
    });
  });
});
