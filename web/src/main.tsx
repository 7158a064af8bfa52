import { render } from "preact";
import { start } from "./store";
import { App } from "./view/app";
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/frame.css";
import "./style/board.css";
import "./style/list.css";
import "./style/task.css";

start();
const place = document.getElementById("page");
if (place) render(<App />, place);
