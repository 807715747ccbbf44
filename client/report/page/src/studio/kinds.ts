// What a file is, as far as its type and its name tell: the server looks into it.
import names, { type TaskName } from "babelview:names";

const ENDINGS: Record<string, string> = {
  image: "avif bmp cr2 cr3 dng heic heif jp2 jpeg jpg jxl nef pdf png psd svg tif tiff webp",
  video: "3gp avi flv m2ts m4v mkv mov mp4 mpg mts ogv ts webm wmv",
  audio: "aac aif aiff flac m4a mka mp3 oga ogg opus wav wma",
};
/** They may move, and are videos then. */
const MAY_MOVE = new Set(["image/gif", "image/apng"]);

/** `image`, `video` or `audio`; empty where that cannot be known. */
export function kindOf(file: File): string {
  if (MAY_MOVE.has(file.type)) return "";
  const [kind] = file.type.split("/");
  if (kind && Object.hasOwn(ENDINGS, kind)) return kind;
  const ending = file.name.toLowerCase().split(".").at(-1)!;
  return Object.keys(ENDINGS).find((each) => ENDINGS[each]!.split(" ").includes(ending)) ?? "";
}

/** Whether a task has something to ask about a kind of file. */
export const suits = (task: TaskName, kind: string): boolean => !kind || task.kinds.includes(kind);

/** Of the tasks that were chosen those that are about this kind of file. */
export const suiting = (chosen: Iterable<string>, kind: string): string[] => {
  const wanted = new Set(chosen);
  return names.tasks.filter((task) => wanted.has(task.name) && suits(task, kind)).map(({ name }) => name);
};

const timed = new Set(names.tasks.filter(({ over_time }) => over_time).map(({ name }) => name));
/** Whether a task goes through videos in windows. */
export const isOverTime = (task: string): boolean => timed.has(task);
