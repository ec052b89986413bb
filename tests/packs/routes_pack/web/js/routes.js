import { app } from "../../../scripts/app.js";

app.registerExtension({ name: "routes_pack.routes" });
