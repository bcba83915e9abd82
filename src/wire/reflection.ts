import type { DescExtension, DescFile, DescMessage, FileRegistry, MessageInitShape } from '@bufbuild/protobuf';
import { create, createFileRegistry, toBinary } from '@bufbuild/protobuf';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type {
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from './gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection } from './gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from './gen/grpc/reflection/v1alpha/reflection_pb.ts';
import type { BoundService, ServiceDescription } from './grpc-service.ts';
import { implementService } from './grpc-service.ts';
import { GRPC_STATUS } from './grpc-status.ts';

type Question = ServerReflectionRequest['messageRequest'];
type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>;

interface Catalogue {
  readonly serviceNames: readonly string[];
  readonly registry: FileRegistry;
}

/**
 * Server reflection for the given services and itself, in both versions: grpcurl and other tools can then call the
 * server without its proto files.
 */
export function createReflection(services: readonly BoundService[]): BoundService[] {
  const described = [...services.map((service) => service.description), ServerReflection, ServerReflectionAlpha];
  const catalogue = createCatalogue(described);
  const service = implementService(ServerReflection, {
    serverReflectionInfo: async (stream) => {
      for await (const request of stream.requests) {
        const messageResponse = answer(request.messageRequest, catalogue);
        const accepted = stream.send({ validHost: request.host, originalRequest: request, messageResponse });
        if (!accepted) await stream.drained();
      }
    },
  });
  // The two versions differ in their package's name alone: the same bytes mean the same.
  const path = `/${ServerReflectionAlpha.typeName}/${ServerReflectionAlpha.method.serverReflectionInfo.name}`;
  const methods = service.methods.map((method) => ({ ...method, path }));
  return [service, { ...service, description: ServerReflectionAlpha, methods }];
}

function createCatalogue(services: readonly ServiceDescription[]): Catalogue {
  const files = new Map<string, FileDescriptorProto>();
  for (const file of withDependencies(services.map((service) => service.file))) files.set(file.proto.name, file.proto);
  return {
    serviceNames: services.map((service) => service.typeName),
    // A registry of its own: only what these services use can be asked for.
    registry: createFileRegistry(create(FileDescriptorSetSchema, { file: [...files.values()] })),
  };
}

/** The files and all that they import, imports first. */
function withDependencies(files: readonly DescFile[], found = new Set<DescFile>()): Set<DescFile> {
  for (const file of files) {
    if (found.has(file)) continue;
    withDependencies(file.dependencies, found);
    found.add(file);
  }
  return found;
}

function answer(question: Question, { registry, serviceNames }: Catalogue): Answer {
  switch (question.case) {
    case 'listServices':
      return { case: 'listServicesResponse', value: { service: serviceNames.map((name) => ({ name })) } };
    case 'fileByFilename':
      return fileAnswer([...registry.files].find((file) => file.proto.name === question.value));
    case 'fileContainingSymbol':
      return fileAnswer(fileOfSymbol(question.value, registry));
    case 'fileContainingExtension': {
      const extendee = registry.getMessage(question.value.containingType);
      const found = extendee && registry.getExtensionFor(extendee, question.value.extensionNumber);
      return fileAnswer(found?.file);
    }
    case 'allExtensionNumbersOfType': {
      const extendee = registry.getMessage(question.value);
      if (extendee === undefined) return refusal('NOT_FOUND', 'no such type');
      const extensionNumber = extensionsOf(extendee, registry).map((extension) => extension.number);
      return { case: 'allExtensionNumbersResponse', value: { baseTypeName: extendee.typeName, extensionNumber } };
    }
    case undefined:
    default:
      return refusal('INVALID_ARGUMENT', 'the request asks for nothing that is known here');
  }
}

/** A symbol is a type or service, or something inside one: a method, a field, a oneof. */
function fileOfSymbol(symbol: string, registry: FileRegistry): DescFile | undefined {
  const found = registry.get(symbol);
  if (found !== undefined) return found.file;
  const dot = symbol.lastIndexOf('.');
  const parent = registry.get(symbol.slice(0, Math.max(0, dot)));
  const name = symbol.slice(dot + 1);
  if (parent?.kind === 'service' && parent.methods.some((method) => method.name === name)) return parent.file;
  if (parent?.kind === 'message' && parent.members.some((member) => member.name === name)) return parent.file;
  return undefined;
}

function extensionsOf(extendee: DescMessage, registry: FileRegistry): DescExtension[] {
  return [...registry].filter((type) => type.kind === 'extension').filter((type) => type.extendee === extendee);
}

function fileAnswer(file: DescFile | undefined): Answer {
  if (file === undefined) return refusal('NOT_FOUND', 'no such file or symbol');
  const files = [...withDependencies([file])];
  const fileDescriptorProto = files.map((each) => toBinary(FileDescriptorProtoSchema, each.proto));
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function refusal(code: 'NOT_FOUND' | 'INVALID_ARGUMENT', errorMessage: string): Answer {
  return { case: 'errorResponse', value: { errorCode: GRPC_STATUS[code], errorMessage } };
}
