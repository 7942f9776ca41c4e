// No validator, no deep link into another's server, nothing kept in the
// browser: the page talks to the server that it came from.
window.ui = SwaggerUIBundle({
  url: '../openapi.json',
  dom_id: '#swagger-ui',
  validatorUrl: null,
  persistAuthorization: false,
  queryConfigEnabled: false,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelRendering: 'model', // an example for each status would hide the answer
  defaultModelExpandDepth: 0,
  defaultModelsExpandDepth: 0,
});
