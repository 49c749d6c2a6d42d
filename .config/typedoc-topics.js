// A plugin of typedoc: sorts the exports into topics by the file they come from, so that the sources need no tags.
import { Application, Comment, CommentTag, Converter, ReflectionKind } from 'typedoc';

/** Of every file the first row that fits counts. */
const TOPICS = [
  ['Open and create', /\/src\/open(-[^/]*)?\.ts$|\/disk\/(open|create)-storage\.ts$/],
  ['Disks', /\/src\/disk\//],
  ['Streams', /\/src\/stream\//],
  ['Storages', /\/src\/storage\//],
  ['What the verbs do', /\/src\/ops\//],
  ['Inside a disk', /\/src\/inspect\//],
  ['Errors and findings', /\/src\/(errors|format\/rules)\.ts$/],
  ['Structures of the format', /\/src\/format\//],
];

/** The same for the entry where all is format. */
const FORMAT_TOPICS = [
  ['Footer', /\/(footer|new-footer|geometry|uuid)\.ts$/],
  ['Dynamic header', /\/(dynamic-header|parent-locator)\.ts$/],
  ['Bitmaps', /\/bitmap\.ts$/],
  ['Findings', /\/rules\.ts$/],
  ['Numbers and checksums', /\/src\/format\//],
];

/** Called by typedoc. */
export function load(app) {
  app.on(Application.EVENT_BOOTSTRAP_END, () => {
    const names = [...TOPICS, ...FORMAT_TOPICS].map(([topic]) => topic);
    app.options.setValue('categoryOrder', names);
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      const topics = module.name === 'vhdkit/format' ? FORMAT_TOPICS : TOPICS;
      for (const child of module.children ?? []) addTopic(app, child, topics);
    }
    // The front page has a title already.
    const [first] = project.readme ?? [];
    if (first !== undefined) first.text = first.text.replace(/^# .*\n/, '');
    for (const document of project.documents ?? []) document.name = titleOf(document);
  });
}

function addTopic(app, reflection, topics) {
  const origin = reflection.isReference() ? reflection.getTargetReflectionDeep() : reflection;
  const file = String(reflection.project.getSymbolIdFromReflection(origin)?.fileName);
  const topic = topics.find(([, files]) => files.test(file))?.[0];
  if (topic === undefined) {
    app.logger.error(`.config/typedoc-topics.js has no topic for ${reflection.name} of ${file}`);
    return;
  }
  const described = reflection.signatures?.[0] ?? reflection;
  described.comment ??= new Comment();
  described.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: topic }]));
}

/** A document is called by its first heading, not by its file. */
function titleOf(document) {
  const text = document.content.map((part) => part.text).join('');
  return /^# (.+)$/m.exec(text)?.[1] ?? document.name;
}
