interface Palette {
  readonly background: string;
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly part: string;
  readonly alarm: string;
  readonly alarmGround: string;
  readonly empty: string;
  /** By shade, from some to full. */
  readonly data: readonly string[];
  readonly parent: readonly string[];
}

/** One hue a meaning, told apart by lightness within; blue and amber are different to every kind of colour vision. */
const LIGHT: Palette = {
  background: '#ffffff',
  text: '#1f2328',
  muted: '#57606a',
  line: '#d0d7de',
  part: '#e6edf6',
  alarm: '#b3261e',
  alarmGround: '#fbe0dd',
  empty: '#e9ecf0',
  data: ['#b5d5f5', '#74aee8', '#2f7fcd', '#0a4b94'],
  parent: ['#f5dda3', '#e5b750', '#c08a14', '#7f5700'],
};

const DARK: Palette = {
  background: '#0d1117',
  text: '#e6edf3',
  muted: '#9da7b3',
  line: '#30363d',
  part: '#1d2733',
  alarm: '#ff8a80',
  alarmGround: '#4a1512',
  empty: '#2a313b',
  data: ['#1f4a7a', '#2a6fb3', '#4a9bea', '#a9d4ff'],
  parent: ['#4a3710', '#86641a', '#d19f2e', '#ffdf94'],
};

/** The class of the outermost element: the rules reach no further, should the picture be pasted into a page. */
export const ROOT_CLASS = 'vhd-map';

/** The style sheet: light, and dark for those who prefer that. Plain colours, which every program that draws SVG knows. */
export const STYLE_SHEET = `
.${ROOT_CLASS} text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; font-size: 12px; }
.${ROOT_CLASS} .title { font-size: 21px; font-weight: 600; }
.${ROOT_CLASS} .heading { font-size: 14px; font-weight: 600; }
.${ROOT_CLASS} .value { font-size: 19px; font-weight: 600; }
.${ROOT_CLASS} .end { text-anchor: end; }
.${ROOT_CLASS} .middle { text-anchor: middle; }
${rules(LIGHT)}
@media (prefers-color-scheme: dark) {
${rules(DARK)}
}
`;

function rules(palette: Palette): string {
  const fills: [name: string, colour: string][] = [
    ['bg', palette.background],
    ['part', palette.part],
    ['e', palette.empty],
    ['alarm', palette.alarm],
    ['alarm-bg', palette.alarmGround],
    ...palette.data.map((colour, index): [string, string] => [`d${index + 1}`, colour]),
    ...palette.parent.map((colour, index): [string, string] => [`p${index + 1}`, colour]),
  ];
  return [
    `.${ROOT_CLASS} text { fill: ${palette.text}; }`,
    `.${ROOT_CLASS} .muted { fill: ${palette.muted}; }`,
    `.${ROOT_CLASS} .line { stroke: ${palette.line}; fill: none; }`,
    `.${ROOT_CLASS} .hatch { stroke: ${palette.alarm}; stroke-width: 2; }`,
    `.${ROOT_CLASS} .edge { stroke: ${palette.muted}; stroke-width: 1; }`,
    ...palette.data.map((colour, index) => `.${ROOT_CLASS} .s${index + 1} { stroke: ${colour}; }`),
    ...fills.map(([name, colour]) => `.${ROOT_CLASS} .${name} { fill: ${colour}; }`),
  ].join('\n');
}
