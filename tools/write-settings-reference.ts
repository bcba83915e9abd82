import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderSettingsReference } from '../src/config/settings-reference.ts';

const page = fileURLToPath(new URL('../docs/reference/settings.md', import.meta.url));
mkdirSync(dirname(page), { recursive: true });
writeFileSync(page, renderSettingsReference());
