import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { renderCrds } from './crds/render-crds.ts';

const folder = fileURLToPath(new URL('../manifests/crds/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const [name, text] of renderCrds()) writeFileSync(`${folder}${name}`, text);
