/** How a token gets to a machine, in the same words as `muster enroll`. */

/** The address of the server, with the port that a machine would not guess. */
export function serverAddress({ protocol, host, port }: Pick<Location, 'protocol' | 'host' | 'port'>): string {
  const usual = protocol === 'https:' ? '443' : '80';
  return `${protocol}//${host}${port === '' ? `:${usual}` : ''}`;
}

export const enrolCommand = (token: string, server: string) => `muster-machine enroll ${token} --server ${server}`;

/** What makes a computer a machine in its first boot. The token is no argument of a process there. */
export const cloudInit = (token: string, server: string) => `#cloud-config
# For one machine, once. muster-machine must be installed, with its unit.
write_files:
  - path: /run/muster-enroll
    permissions: '0600'
    content: |
      ${token}
runcmd:
  - [sh, -c, 'muster-machine enroll - --server ${server} < /run/muster-enroll && rm /run/muster-enroll']
  - [systemctl, enable, --now, muster-machine]
`;
