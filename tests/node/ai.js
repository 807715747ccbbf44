// Asks the endpoint with the AI SDK, in its ways and with both of OpenAI's APIs: {baseURL, model, picture, tokens} as JSON
// on standard input; prints what came as JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, Output, streamText, tool } from "ai";
import { text } from "node:stream/consumers";
import { z } from "zod";

const { baseURL, model, picture, tokens } = JSON.parse(await text(process.stdin));
const openai = createOpenAI({ baseURL, apiKey: "none" });
const schema = z.object({ title: z.string().max(20), tags: z.array(z.string().max(12)).max(2), mood: z.enum(["positive", "negative"]) });
const look = tool({ description: "Look.", inputSchema: z.object({ colour: z.string().max(20), times: z.number().int() }) });
const said = { errors: [] };

async function all(streamed) {
  let whole = "";
  for await (const piece of streamed.textStream) whole += piece;
  return whole;
}

for (const [api, asked] of [["chat", openai.chat(model)], ["responses", openai.responses(model)]]) {
  const content = [
    { type: "text", text: "Describe this." },
    { type: "image", image: picture, mediaType: "image/jpeg" },
  ];
  const common = {
    model: asked,
    messages: [{ role: "user", content }],
    maxOutputTokens: tokens,
    temperature: 0,
    maxRetries: 0,
    onError: ({ error }) => said.errors.push(`${api}: ${error}`),
  };
  const ways = {
    object: async () => (await generateObject({ ...common, schema })).object,
    "streamed object": async () => JSON.parse(await all(streamText({ ...common, output: Output.object({ schema }) }))),
    calls: async () => {
      const { toolCalls } = await generateText({ ...common, tools: { look }, toolChoice: "required" });
      return toolCalls.map((call) => [call.toolName, Object.keys(call.input).sort()]);
    },
    text: async () => (await generateText({ ...common, tools: { look } })).text,
    "streamed text": async () => await all(streamText({ ...common, tools: { look } })),
  };
  said[api] = {};
  for (const [way, ask] of Object.entries(ways)) {
    try {
      said[api][way] = await ask();
    } catch (error) {
      said.errors.push(`${api}, ${way}: ${error} ${error.responseBody ?? ""}`);
    }
  }
}
console.log(JSON.stringify(said));
