// Asks the endpoint with OpenAI's SDK: {baseURL, apiKey, request} as JSON on standard input; prints what came as JSON.
import OpenAI from "openai";
import { text } from "node:stream/consumers";

const { baseURL, apiKey, request } = JSON.parse(await text(process.stdin));
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const said = { text: "", pieces: 0, error: null };
try {
  const answer = await client.chat.completions.create(request);
  if (request.stream) {
    for await (const chunk of answer) {
      const piece = chunk.choices[0]?.delta?.content;
      if (piece) {
        said.text += piece;
        said.pieces += 1;
      }
    }
  } else {
    said.text = answer.choices[0].message.content;
    said.pieces = 1;
  }
} catch (error) {
  said.error = { name: error.constructor.name, status: error.status ?? null, code: error.code ?? null };
}
console.log(JSON.stringify(said));
