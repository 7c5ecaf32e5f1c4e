// Checks what config/ has for containers, offline: the chart is rendered by Go's own template engine (only with what that has by itself,
// so the chart uses none of Helm's functions), and every object is held against Kubernetes' schemas (values) and types (unknown names).
// compose.yaml is held against the Compose specification. A line for each object; what is wrong goes to standard error, with status 1.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse as render } from '@evertdespiegeleer/go-template';
import * as apps from 'kubernetes-models/apps/v1';
import * as core from 'kubernetes-models/v1';
import * as policy from 'kubernetes-models/policy/v1';
import * as monitoring from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import Ajv from 'ajv';
import ts from 'typescript';
import { parse, parseAllDocuments } from 'yaml';

const folder = dirname(fileURLToPath(import.meta.url));
const config = resolve(process.argv[2] ?? join(folder, '../../config'));
const problems = [];
const objects = [];

const groups = {
  'apps/v1': [apps, 'kubernetes-models/apps/v1'],
  'v1': [core, 'kubernetes-models/v1'],
  'policy/v1': [policy, 'kubernetes-models/policy/v1'],
  'monitoring.coreos.com/v1': [monitoring, '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'],
};

function read(source, text) {
  for (const document of parseAllDocuments(text)) {
    problems.push(...document.errors.map(error => `${source}: ${error.message}`));
    const object = document.toJS();
    if (object == null) continue;
    const [types] = groups[object.apiVersion] ?? [];
    if (!types?.[object.kind]) { problems.push(`${source}: no such kind: ${object.apiVersion} ${object.kind}`); continue; }
    try { new types[object.kind](object).validate(); } catch (error) { problems.push(`${source} ${object.kind}: ${error.message}`); }
    objects.push({ source, object });
  }
}

// What only servers check: a name used is a name given.
function checkPods() {
  for (const { source, object } of objects.filter(o => o.object.kind === 'Deployment')) {
    const pod = object.spec.template.spec, say = text => problems.push(`${source}: ${text}`);
    const labels = object.spec.template.metadata.labels;
    for (const [name, value] of Object.entries(object.spec.selector.matchLabels)) if (labels[name] !== value) say(`selector: ${name}`);
    for (const container of [...pod.containers, ...(pod.initContainers ?? [])]) {
      const ports = (container.ports ?? []).map(p => p.name), volumes = pod.volumes.map(v => v.name);
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'])
        if (container[probe] && !ports.includes(container[probe].httpGet.port)) say(`${probe}: no port ${container[probe].httpGet.port}`);
      for (const mount of container.volumeMounts ?? []) if (!volumes.includes(mount.name)) say(`no volume ${mount.name}`);
      for (const { name, value } of container.env ?? []) {
        const isUnder = (container.volumeMounts ?? []).some(mount => value.startsWith(mount.mountPath + '/'));
        if (value.startsWith('/') && !isUnder) say(`${name}: nothing is mounted at ${value}`);
      }
      if (container.name !== 'pooler') continue;
      const env = Object.fromEntries(container.env.map(e => [e.name, Number(e.value)]));
      const needed = (env.POOLER_SHUTDOWN_DELAY ?? 0) + 2 * env.POOLER_SHUTDOWN_TIMEOUT;
      if (!(pod.terminationGracePeriodSeconds > needed)) say(`the grace period is not longer than ${needed} s`);
      const safe = { ...pod.securityContext, ...container.securityContext };
      if (!(safe.runAsNonRoot && safe.runAsUser > 0 && safe.readOnlyRootFilesystem && safe.allowPrivilegeEscalation === false
        && safe.capabilities.drop.includes('ALL') && safe.seccompProfile)) say('the security context is open');
    }
  }
}

// Kubernetes refuses names it does not know; TypeScript does so in literals.
function checkNames() {
  const lines = objects.map(({ object: { apiVersion, kind, ...rest } }, i) =>
    `import { ${kind} as K${i} } from '${groups[apiVersion][1]}';\nexport const o${i}: NonNullable<ConstructorParameters<typeof K${i}>[0]> = ${JSON.stringify(rest)};`);
  const file = join(folder, 'objects.ts'), options = { strict: true, noEmit: true, skipLibCheck: true, types: [], target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext };
  const host = ts.createCompilerHost(options), { getSourceFile, fileExists } = host;
  host.getSourceFile = (name, ...rest) => name === file ? ts.createSourceFile(name, lines.join('\n'), ts.ScriptTarget.ES2022) : getSourceFile(name, ...rest);
  host.fileExists = name => name === file || fileExists(name);
  for (const found of ts.getPreEmitDiagnostics(ts.createProgram([file], options, host))) {
    const line = found.file ? ts.getLineAndCharacterOfPosition(found.file, found.start).line : -1;
    const { source, object } = objects[line >> 1] ?? { source: 'types', object: {} };
    problems.push(`${source} ${object.kind}: ${ts.flattenDiagnosticMessageText(found.messageText, ' ')}`);
  }
}

// As Helm calls it: each template with all named ones before it.
async function renderChart(what, change) {
  const chart = join(config, 'helm/pooler'), templates = join(chart, 'templates');
  const values = parse(readFileSync(join(chart, 'values.yaml'), 'utf8'));
  change(values);
  const { version, appVersion } = parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8'));
  const data = { Values: values, Release: { Name: 'db', Service: 'Helm', Namespace: 'default' }, Chart: { Version: version, AppVersion: appVersion } };
  const named = readFileSync(join(templates, '_names.tpl'), 'utf8');
  for (const name of readdirSync(templates).filter(n => !n.startsWith('_'))) {
    const source = `helm ${what} ${name}`;
    try {
      const text = (await render(named + readFileSync(join(templates, name), 'utf8'), data)).trimStart();
      if (text.includes('<no value>')) problems.push(`${source}: a value is missing`);
      if (name.endsWith('.yaml')) read(source, text);
      else console.log(`${source}: ${text.split('\n')[0]}`);
    } catch (error) { problems.push(`${source}: ${error.message}`); }
  }
}

function checkCompose() {
  const file = join(config, 'compose.yaml');
  const compose = parse(readFileSync(file, 'utf8'), { merge: true });
  const schema = JSON.parse(readFileSync(join(folder, 'node_modules/dclint/schemas/compose.schema.json'), 'utf8'));
  const check = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile({ ...schema, $schema: undefined });
  if (!check(compose)) problems.push(...check.errors.map(e => `compose.yaml${e.instancePath}: ${e.message} ${e.params.additionalProperty ?? ''}`));
  for (const [name, service] of Object.entries(compose.services)) {
    const needed = Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on ?? {});
    for (const other of needed) if (!compose.services[other]) problems.push(`compose.yaml: ${name} depends on ${other}`);
    for (const volume of service.volumes ?? []) {
      const from = volume.split(':')[0];
      if (!(from.startsWith('.') ? existsSync(join(config, from)) : from in compose.volumes)) problems.push(`compose.yaml: ${name}: there is no ${from}`);
    }
    if (service.build && !existsSync(join(config, service.build.context, 'Dockerfile'))) problems.push(`compose.yaml: ${name}: no Dockerfile`);
    console.log(`compose ${name}`);
  }
}

for (const name of readdirSync(join(config, 'kubernetes'))) read(name, readFileSync(join(config, 'kubernetes', name), 'utf8'));
await renderChart('as it comes', () => {});
await renderChart('with all', values => Object.assign(values, {
  image: { repository: 'registry/pooler', tag: '1.2.3', pullPolicy: 'Always' }, replicas: 3, existingSecret: 'mine', existingSecretUsers: ['app', 'boss'],
  databases: { app: "host=db1,db2 dbname=app password='it''s: #1'", other: 'postgres://db/other' }, serviceMonitor: { enabled: true, interval: '5s', labels: { release: 'prometheus' } },
  nodeSelector: { disk: 'ssd' }, podAnnotations: { a: 'b: "c"' }, imagePullSecrets: [{ name: 'pull' }], seccompProfile: { type: 'Localhost', localhostProfile: 'profiles/pooler.json' },
}));
await renderChart('with users', values => { values.users = { app: 'a "quoted" \\ secret', boss: 'x' }; });
checkPods();
checkNames();
checkCompose();
for (const { source, object } of objects) console.log(`${source}: ${object.kind} ${object.metadata.name}`);
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
