// What the heads of both pages let choose: the language of everything, and the theme.
import { language, theme } from "./preferences";
import { languages } from "./store";

export function Choices() {
  return (
    <>
      {languages.value.length > 1 && (
        <label class="choice">
          <span>Language</span>
          <select value={language.value} onChange={(event) => (language.value = event.currentTarget.value)}>
            {languages.value.map(({ code, name }) => (
              <option value={code}>{name}</option>
            ))}
          </select>
        </label>
      )}
      <label class="choice">
        <span>Theme</span>
        <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as "auto")}>
          <option value="auto">As the system</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
      </label>
    </>
  );
}
