import type { Question } from './question.ts';
import { seriesQuestions } from './questions-series.ts';
import { serviceQuestions } from './questions-service.ts';
import { subscriptionQuestions } from './subscriptions.ts';

/** All that a probe asks, in the order in which it is told. */
export const questions: readonly Question[] = [...serviceQuestions, ...seriesQuestions, ...subscriptionQuestions];
