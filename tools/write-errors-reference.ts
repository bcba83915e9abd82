import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderErrorsReference } from '../src/core/errors-reference.ts';

const page = fileURLToPath(new URL('../docs/reference/errors.md', import.meta.url));
mkdirSync(dirname(page), { recursive: true });
writeFileSync(page, renderErrorsReference());
