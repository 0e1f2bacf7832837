"use strict";
window.addEventListener("load", () => {
  SwaggerUIBundle({ url: "/openapi.json", dom_id: "#explorer", deepLinking: true, tryItOutEnabled: true });
});
