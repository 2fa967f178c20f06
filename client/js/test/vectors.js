// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// compare runs vectors through an engine, in Node and in a page alike, and
// gives those whose answer is not the same bytes.
export function compare(engine, vectors) {
  const policies = new Map();
  const differences = [];
  vectors.forEach((v, i) => {
    const key = JSON.stringify(v.policies);
    if (!policies.has(key)) {
      policies.set(key, engine.policy(...v.policies));
    }
    let answer;
    try {
      answer = JSON.stringify(policies.get(key).check(v.password, { ...v.options, previousPassword: v.previous }));
    } catch (error) {
      if (error.reason === undefined) {
        throw error;
      }
      answer = JSON.stringify({ error: { reason: error.reason, message: error.message.slice(error.reason.length + 2) } });
    }
    if (answer !== v.answer) {
      differences.push({ i, answer, want: v.answer });
    }
  });
  for (const p of policies.values()) {
    p.release();
  }
  return differences;
}

// keystrokes gives the times, in milliseconds and in order, of judging texts
// character by character as they are typed, with a moment between.
export async function keystrokes(engine, texts) {
  const times = [];
  for (const text of texts) {
    for (let n = 1; n <= text.length; n++) {
      const start = performance.now();
      engine.check(text.slice(0, n), {
        locale: n % 2 ? "en" : "zh-CN",
        context: { login: "alice.liddell", names: ["Alice Liddell", "张伟"], emails: ["alice@wonderland.example"], words: ["Example Bank"] },
      });
      times.push(performance.now() - start);
      await new Promise((next) => setTimeout(next, 4));
    }
  }
  return times.sort((a, b) => a - b);
}

export const typed = [
  "password1234567", "tangled lantern orbit 7 walrus", "woaini1314520", "Tr0ub4dor&3", "P@ssw0rd!!!2024", "correct horse battery staple",
  "qwertyuiopasdfgh", "19920504alice", "春眠不觉晓处处闻啼鸟", "xK9#mQ2$vL8@nR5!", "zhangwei851231@beijing", "4@8({[</369&#!1/4@8({[</369&#!1/",
];

export function share(sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}
