// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// The calls the page makes. The key lives in this module and nowhere else: a
// reload forgets it.

let key = "";

export const signIn = (k) => { key = k; };

export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
    this.reason = reason;
  }
}

function ask(path, body, signal) {
  return fetch(`/v1/${path}`, {
    method: "POST", signal, body: JSON.stringify(body), cache: "no-store", credentials: "omit", redirect: "error",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
  });
}

async function refusal(response) {
  let reason = "";
  try {
    const { details = [] } = await response.json();
    reason = String(details.find((d) => d.reason)?.reason ?? "");
  } catch { /* an answer of somebody else's */ }
  return new Refused(response.status, reason);
}

// call makes a call and gives its answer; it throws Refused.
export async function call(path, body = {}, signal) {
  const response = await ask(path, body, signal);
  if (!response.ok) throw await refusal(response);
  return response.json();
}

// stream gives the answers of a call that has many, as they come.
export async function* stream(path, body, signal) {
  const response = await ask(path, body, signal);
  if (!response.ok) throw await refusal(response);
  let rest = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + part).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.trim()) continue;
      const { result, error } = JSON.parse(line);
      if (error) throw new Refused(0, String(error.message ?? ""));
      yield result;
    }
  }
}
