import { render } from "preact";
import { start } from "./store";
import { App } from "./view/app";
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/frame.css";
import "./style/board.css";
import "./style/list.css";
import "./style/task.css";
import "./style/token.css";

start();
const place = document.getElementById("page");
if (place) {
  place.replaceChildren(); // the text for when this script does not load
  render(<App />, place);
}
