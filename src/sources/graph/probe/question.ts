import type { Exchange } from './exchange.ts';
import type { Seen } from './seen.ts';

/** Words that several questions share. */
export const handled = 'The reading knows both ways; nothing is switched.';
export const appointment = 'Make an appointment within the next weeks, then run this again.';
export const anyCalendar = 'Name a mailbox with a calendar.';

/** One thing on which documents are silent or reports contradict each other, and what its answers mean for the reading. */
export interface Question {
  readonly name: string;
  readonly asks: string;
  /** Answers by what was seen, one per piece of evidence; none: nothing that was seen tells. Pure. */
  readonly settle: (seen: Seen) => readonly string[];
  /** Each answer with what it changes; the answer that asks most care of the reading first. */
  readonly answers: readonly Consequence[];
  /** How to make it tell, in Outlook or by an option. */
  readonly toSettle: string;
}

export interface Consequence {
  /** Null: any other, a number for instance. */
  readonly answer: string | null;
  readonly means: string;
  /** Set: the tenant cannot be read as it should. */
  readonly isTrouble?: boolean;
}

export interface Settled {
  readonly question: string;
  readonly asks: string;
  /** `mixed`: seen this way and that; the answer is the one that asks most care. */
  readonly state: 'settled' | 'mixed' | 'open';
  readonly answer: string | null;
  readonly evidence: number;
  /** What the answer changes; of an open question what to do. */
  readonly means: string;
  readonly isTrouble: boolean;
}

export function settle(questions: readonly Question[], seen: Seen): Settled[] {
  return questions.map((question) => settleBy(question, question.settle(seen)));
}

export function settleBy({ name, asks, answers, toSettle }: Question, found: readonly string[]): Settled {
  const common = { question: name, asks, evidence: found.length };
  const distinct = [...new Set(found)].sort((a, b) => rank(answers, a) - rank(answers, b));
  const [answer] = distinct;
  if (answer === undefined)
    return { ...common, state: 'open', answer: null, means: `Not settled. ${toSettle}`, isTrouble: false };
  const consequence = answers.find((one) => one.answer === answer) ?? answers.find((one) => one.answer === null);
  return {
    ...common,
    state: distinct.length === 1 ? 'settled' : 'mixed',
    answer,
    means: consequence?.means ?? '',
    isTrouble: consequence?.isTrouble ?? false,
  };
}

function rank(answers: readonly Consequence[], answer: string): number {
  const index = answers.findIndex((one) => one.answer === answer);
  return index === -1 ? answers.length : index;
}

/** Whether what a request asked for is known to this Graph: answered, or refused by a 400. */
export function partAnswer({ status }: Exchange): string[] {
  return status === 200 ? ['known'] : status === 400 ? ['refused'] : [];
}
