// SPDX-License-Identifier: Apache-2.0
// meta_data.json of a config drive -> the few files that a controller delivers (contract 6.3). Everything else that
// a drive may name is not ours to write.

/** A file to place, and where on the drive its bytes are. */
export interface DriveFile {
  readonly path: string;
  /** Not the 0660 or 0644 of others: keys and the heartbeat's secret are root's alone. */
  readonly mode: number;
  /** Relative to `openstack/` on the drive. */
  readonly source: string;
}

export interface DriveMetadata {
  /** Nova's id of this machine: another one means a first boot. */
  readonly uuid: string;
  /** Host name without domain, or null where it is not one. */
  readonly hostname: string | null;
  readonly files: readonly DriveFile[];
}

const MODES: ReadonlyMap<string, number> = new Map([
  ['/etc/octavia/amphora-agent.conf', 0o600],
  ['/etc/octavia/certs/server.pem', 0o600],
  ['/etc/octavia/certs/client_ca.pem', 0o644],
  ['/etc/rsyslog.d/10-rsyslog.conf', 0o644],
]);

/** Without these the agent cannot start. */
export const NEEDED_FILES: readonly string[] = [...MODES.keys()].filter((path) =>
  path.startsWith('/etc/octavia/'),
);

/** Throws where the text is not such a document; files with other paths or odd sources are passed over. */
export const parseDriveMetadata = (text: string): DriveMetadata => {
  const document: unknown = JSON.parse(text);
  if (!isObject(document)) throw new Error('meta_data.json: an object expected');
  const { uuid, hostname, files } = document;
  if (typeof uuid !== 'string' || !/^[\w-]{1,64}$/.test(uuid)) {
    throw new Error('meta_data.json: no usable uuid');
  }
  return {
    uuid,
    hostname: typeof hostname === 'string' ? hostOf(hostname) : null,
    files: Array.isArray(files) ? files.flatMap(driveFileOf) : [],
  };
};

const driveFileOf = (value: unknown): DriveFile[] => {
  if (!isObject(value)) return [];
  const { path, content_path: source } = value;
  if (typeof path !== 'string' || typeof source !== 'string') return [];
  const mode = MODES.get(path);
  const isPlain = /^\/content\/\w[\w.-]{0,63}$/.test(source);
  return mode === undefined || !isPlain ? [] : [{ path, mode, source: source.slice(1) }];
};

const hostOf = (name: string): string | null => {
  const [host = ''] = name.split('.');
  return /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(host) ? host : null;
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
