// What scripts/build_report.py hands over: the tasks and languages that this version of Babelview knows.
declare module "babelview:names" {
  export interface TaskName {
    name: string;
    title: string;
    about: string;
    kinds: string[];
    /** Whether it goes through videos in windows. */
    over_time: boolean;
  }
  const names: { tasks: TaskName[]; languages: import("../types").Language[] };
  export default names;
}
