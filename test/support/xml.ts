/** An element as it was written: its name, its attributes, the text right inside it. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  text: string;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
const NAME = '[A-Za-z][\\w.:-]*';
const TOKEN = new RegExp(
  `<\\?xml [^?]*\\?>|<(?<close>/)?(?<name>${NAME})(?<attributes>(?: ${NAME}="[^"<]*")*)(?<empty>/)?>|(?<text>[^<]+)`,
  'y',
);
// XML 1.0, 2.2: everything else is no character.
const FOREIGN = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/**
 * The elements of an XML document in the order they begin: as strict as XML is about characters, nesting and references,
 * and without what this project does not write (comments, CDATA, DTDs).
 */
export function parseXml(document: string): XmlElement[] {
  const foreign = FOREIGN.exec(document);
  if (foreign !== null) throw new Error(`no character of XML at ${foreign.index}`);
  const elements: XmlElement[] = [];
  const open: XmlElement[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < document.length) {
    const at = TOKEN.lastIndex;
    const token = TOKEN.exec(document)?.groups;
    if (token === undefined) throw new Error(`not well formed at ${at}: ${document.slice(at, at + 60)}`);
    const { close, name, text } = token;
    if (text !== undefined) addText(open.at(-1), text);
    else if (close !== undefined) expectClosing(open.pop(), name);
    else if (name !== undefined) {
      if (open.length === 0 && elements.length > 0) throw new Error(`a second root element at ${at}`);
      const element = { name, attributes: attributesOf(token['attributes']), text: '' };
      elements.push(element);
      if (token['empty'] === undefined) open.push(element);
    }
  }
  if (open.length > 0) throw new Error(`not closed: ${open.map((element) => element.name).join(', ')}`);
  return elements;
}

function addText(parent: XmlElement | undefined, text: string): void {
  if (parent !== undefined) parent.text += decode(text);
  else if (text.trim() !== '') throw new Error('text outside the root element');
}

function expectClosing(element: XmlElement | undefined, name: string | undefined): void {
  if (element?.name !== name) throw new Error(`</${name ?? ''}> closes <${element?.name ?? ''}>`);
}

function attributesOf(text = ''): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(/ ([\w.-]+)="([^"]*)"/g)) {
    if (attributes.has(name)) throw new Error(`${name} is given twice`);
    attributes.set(name, decode(value));
  }
  return attributes;
}

function decode(text: string): string {
  return text.replace(/&(?:([a-z0-9#]+);)?/g, (reference, name: string | undefined) => {
    const character = name === undefined ? undefined : ENTITIES[name];
    if (character === undefined) throw new Error(`not a reference: ${reference}`);
    return character;
  });
}
