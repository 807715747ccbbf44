import { render } from "preact";
import { keepPreferences } from "../preferences";
import { look } from "./server";
import { Studio } from "./studio";
import { begin } from "./uploads";

begin();
keepPreferences("babelview-studio");
render(<Studio />, document.getElementById("app")!);
void look();
