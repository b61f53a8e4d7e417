/** As much of it as the tests use. */
declare module 'ws' {
  export class WebSocket {
    constructor(url: string, protocols: string[]);
    on(event: 'open', listener: () => void): void;
    on(event: 'message', listener: (data: unknown) => void): void;
    on(event: 'error', listener: (error: Error) => void): void;
    send(text: string): void;
    close(): void;
  }
}
