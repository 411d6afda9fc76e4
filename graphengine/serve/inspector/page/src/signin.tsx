// The way in: at the address where one was going, which opens once one is signed in; nothing leads elsewhere.

import { useEffect, useState } from "preact/hooks";

import { leaveFor, signIn } from "./api";
import { Corner, Failure, type Problem } from "./parts";

export function SignIn({ why, done }: { why: Problem; done: () => void }) {
  const [error, setError] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const [provider, setProvider] = useState<string | null>(null);
  useEffect(() => {
    fetch("/provider")
      .then((found) => found.json())
      .then(({ name }) => setProvider(name), () => {});
  }, []);
  const { pathname, searchParams } = new URL(location.href);
  const question = pathname === "/questions" && (searchParams.get("wait") || searchParams.get("id"));
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const token = String(given.get("token")).trim();
    if (!token) return setError({ message: "Paste the token first." });
    setBusy(true);
    await signIn(token, given.has("stay")).then(done, setError);
    setBusy(false);
  };
  return (
    <>
      <header class="top">
        <b class="brand">graphengine</b>
        <span class="grow" />
        <Corner />
      </header>
      <main class="alone signin">
        <h1>Sign in</h1>
        <p class="soft">to {location.host}</p>
        {question && (
          <p class="to">
            Then you come back to the question <b class="mono">{question}</b>.
          </p>
        )}
        {provider && (
          <button class="btn main" type="button" disabled={busy} onClick={() => leaveFor().catch(setError)}>
            Sign in with {provider}
          </button>
        )}
        <form onSubmit={submit}>
          <label for="token" class="soft">
            Token
          </label>
          <input id="token" name="token" class="btn" type="password" autocomplete="off" spellcheck={false} />
          {error && <Failure error={error} />}
          <label class="stay">
            <input type="checkbox" name="stay" checked /> Stay signed in on this device for 14 days
          </label>
          <button class={provider ? "btn" : "btn main"} disabled={busy}>
            Sign in with the token
          </button>
        </form>
        <p class="soft" role="alert">
          {why.message}
        </p>
        {why.repair && <p class="soft">{why.repair}</p>}
      </main>
    </>
  );
}
