/** Asks the viewer for the server's token. */

import { asked, keepToken, tokenOf } from "../feed/token";
import { reconnect } from "../store";

export function TokenPage() {
  const enter = (event: SubmitEvent): void => {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).elements.namedItem("token") as HTMLInputElement;
    const text = field.value.trim();
    field.value = "";
    keepToken(tokenOf(text) ?? text); // many will paste the whole link
    reconnect();
  };
  return (
    <section class="token" aria-labelledby="token-title">
      <h1 id="token-title">Which token?</h1>
      <p>
        Open the link that <code>headway serve</code> printed where it was started, or enter the token at its end.
      </p>
      <form onSubmit={enter}>
        <label for="token">Token</label>
        <input id="token" name="token" type="password" autocomplete="off" required autofocus />
        <button type="submit">Show the boards</button>
      </form>
      {asked.value === "wrong" && (
        <p class="is-failed" role="alert">
          The server does not know the token that this browser has. Unless it is given one, it makes up a new one
          whenever it starts.
        </p>
      )}
    </section>
  );
}
