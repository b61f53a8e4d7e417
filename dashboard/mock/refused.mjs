/** What is answered instead of a document. */
export class Refused extends Error {
  constructor(status, title, detail, code, errors = [], headers = {}, more = {}) {
    super(detail);
    this.problem = { type: `urn:muster:problem:${code}`, title, status, detail, code, ...(errors.length > 0 && { errors }), ...more };
    this.headers = headers;
  }
}
